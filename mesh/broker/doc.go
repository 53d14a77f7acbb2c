// Package broker embeds an MQTT broker, the MQTT listener of nats-server with
// JetStream on disk, so that a conductor needs no other service.
//
// It may import the standard library and nats-server.
// What must never happen here: two brokers on one folder, a listener that other
// hosts reach without a certificate and a password, or a signal handler of the
// library's own.
package broker
