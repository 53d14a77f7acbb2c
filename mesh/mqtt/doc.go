// Package mqtt is the client of an MQTT 3.1.1 broker, over paho.
//
// It adds what the job needs: messages that must arrive stay in an outbox until
// the receiver acknowledges them, incoming ones pass bounded queues, and every
// failure names its cure. It may import the standard library, paho and mesh.
// What must never happen here: a message of Send that is gone before its /ack,
// a handler that can stall the connection, or a call without a deadline.
package mqtt
