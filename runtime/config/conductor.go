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

// LoadConductor reads a conductor's file in the same way as Load. An empty file
// gives DefaultConductor.
func LoadConductor(path string) (*Conductor, Problems) {
	data, problem := readFile(path)
	if problem != nil {
		return nil, Problems{*problem}
	}
	return loadConductor(path, data, readFile)
}

func loadConductor(path string, data []byte, read source) (*Conductor, Problems) {
	r := newReader(path)
	root := r.parse(data)
	if root == nil {
		return nil, r.sorted()
	}
	k := r.section(root, &conductorSection, "the conductor's file")
	d := DefaultConductor()
	c := &Conductor{
		Path:         path,
		Name:         k.name("name", d.Name),
		Scope:        k.choice("scope", d.Scope),
		Cell:         k.name("cell", d.Cell),
		Listen:       k.text("listen", d.Listen),
		Broker:       k.text("broker", d.Broker),
		BrokerListen: k.text("broker_listen", d.BrokerListen),
		Username:     k.text("username", ""),
		PasswordFile: k.existing("password_file", read),
		CAFile:       k.existing("ca_file", read),
		Fingerprint:  k.fingerprint(),
		TokenFile:    k.existing("token_file", read),
		Certificate:  k.existing("certificate", read),
		Key:          k.existing("key", read),
		Data:         k.path("data"),
	}
	var x keys
	c.Mesh, x = k.mesh(read)
	for _, name := range []string{"members", "port"} {
		if x.has(name) {
			x.fault(name, "remove it: it is for the robots of the cell", "%s has %s; a conductor takes no part in coordination", x.what, name)
		}
	}
	k.login()
	k.guarded("listen", c.Listen, "HTTP server", "token_file", "certificate", "key")
	if c.Broker == "embedded" {
		k.guarded("broker_listen", c.BrokerListen, "broker", "username", "password_file", "certificate", "key")
	} else {
		k.brokerURL(c.Broker, "embedded, ")
	}
	problems := r.sorted()
	if problems.Faults() > 0 {
		return nil, problems
	}
	return c, problems
}
