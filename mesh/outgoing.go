package mesh

// Item is one message that must arrive: it stays in its sender's outbox until
// the receiver's /ack names its id.
type Item struct {
	ID      string `json:"id"`    // of the envelope in Payload
	Topic   string `json:"topic"` // where to publish it
	Payload []byte `json:"payload"`
}
