// Package brain is the second process of a robot: tiers 2 and 3 of the ladder,
// the forecast, the questions to a conductor, storage, MQTT, gossip and the
// local web page. It is a child of the spine and may be killed at any moment.
//
// It wires rooms and holds little of its own: the rules are in package dancer,
// the forecast in partner, what crosses to the spine in runtime/link. Three
// things must never happen here: touching hardware (only the spine does),
// renewing the lease without a completed decision, and letting storage, network
// or a slow reader delay the decision cycle. What they cannot take in time is
// dropped and counted.
package brain
