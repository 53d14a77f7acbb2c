package config

// Conductor is a conductor's file, checked.
type Conductor struct {
	Path         string // "" when there is no file
	Name         string // default "conductor"
	Scope        string // cell
	Cell         string // default "default"
	Listen       string // default 127.0.0.1:8420
	Broker       string // "embedded" (default) or an MQTT URL
	BrokerListen string // of the embedded broker; default 127.0.0.1:1883
	Username     string
	PasswordFile string
	CAFile       string
	Fingerprint  string
	TokenFile    string // bearer token; needed to listen beyond loopback
	Certificate  string // PEM; needed to listen beyond loopback
	Key          string // PEM; needed to listen beyond loopback
	Data         string // data folder; "": the default of the command
	Mesh         Mesh
}

// DefaultConductor is what an empty file, or none, means.
func DefaultConductor() *Conductor {
	return &Conductor{
		Name: "conductor", Scope: "cell", Cell: "default",
		Listen: "127.0.0.1:8420", Broker: "embedded", BrokerListen: "127.0.0.1:1883",
		Mesh: Mesh{Bind: "127.0.0.1:0"},
	}
}
