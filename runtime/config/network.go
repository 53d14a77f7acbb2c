package config

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"dancer/mesh"
)

// network reads everything of a robot that touches the network.
func (l *loader) network(k keys) {
	r := l.robot
	r.Listen = k.text("listen", defaultListen)
	r.TokenFile = k.existing("token_file", l.read)
	r.Certificate = k.existing("certificate", l.read)
	r.Key = k.existing("key", l.read)
	if r.Listen != "off" {
		k.guarded("listen", r.Listen, "HTTP server", "token_file", "certificate", "key")
	}
	l.link(k)
	m, x := k.mesh(l.read)
	r.Mesh = m
	l.members(x)
}

func (l *loader) link(k keys) {
	x := l.section(k.node("conductor"), &linkSection, "conductor")
	l.robot.Conductor = ConductorLink{
		Broker:       x.text("broker", "auto"),
		Username:     x.text("username", ""),
		PasswordFile: x.existing("password_file", l.read),
		CAFile:       x.existing("ca_file", l.read),
		Fingerprint:  x.fingerprint(),
	}
	x.login()
	switch broker := l.robot.Conductor.Broker; broker {
	case "auto", "off":
	default:
		x.brokerURL(broker, "auto, off, ")
	}
}

// login reports a user name without a password and the other way round.
func (k keys) login() {
	for _, pair := range [][2]string{{"username", "password_file"}, {"password_file", "username"}} {
		if k.has(pair[0]) && !k.has(pair[1]) {
			k.fault(pair[0], "add "+pair[1], "%s has %s but no %s", k.what, pair[0], pair[1])
		}
	}
}

func (k keys) fingerprint() string {
	text := k.text("fingerprint", "")
	digits, ok := strings.CutPrefix(text, "sha256:")
	digits = strings.ReplaceAll(digits, ":", "")
	if raw, err := hex.DecodeString(digits); text != "" && (!ok || err != nil || len(raw) != 32) {
		k.fault("fingerprint", "write sha256: and 64 hex digits, as openssl x509 -fingerprint -sha256 gives", "fingerprint of %s cannot be read", k.what)
	}
	return text
}

// brokerURL checks an MQTT address: another host needs TLS and a pinned
// certificate or authority.
func (k keys) brokerURL(text, others string) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "mqtt" && u.Scheme != "mqtts" {
		k.fault("broker", fmt.Sprintf("write %smqtt://127.0.0.1:1883 or mqtts://host:8883", others), "broker of %s is %q, not an MQTT address", k.what, text)
		return
	}
	if u.User != nil {
		k.fault("broker", "use username and password_file", "broker of %s has a user name in its address", k.what)
	}
	if loopback(u.Hostname()) {
		return
	}
	if u.Scheme == "mqtt" {
		k.fault("broker", fmt.Sprintf("write mqtts://%s and add ca_file or fingerprint", u.Host), "broker %s is on another host without encryption", text)
		return
	}
	if !k.has("ca_file") && !k.has("fingerprint") {
		k.fault("broker", "add ca_file or fingerprint, so that no other broker can pose as this one", "broker %s is on another host and nothing proves that it is the right one", text)
	}
}

// guarded reports an address beyond loopback without the keys that guard it.
func (k keys) guarded(name, address, what string, need ...string) {
	host, ok := k.address(name, address)
	if !ok || loopback(host) {
		return
	}
	var missing []string
	for _, n := range need {
		if !k.has(n) {
			missing = append(missing, n)
		}
	}
	if len(missing) == 0 {
		return
	}
	_, port, _ := net.SplitHostPort(address)
	k.fault(name, fmt.Sprintf("add %s, or use 127.0.0.1:%s", strings.Join(missing, ", "), port),
		"%s %s opens the %s to the network without %s", name, address, what, strings.Join(missing, ", "))
}

// address splits host:port and reports one that cannot be used.
func (k keys) address(name, text string) (host string, ok bool) {
	whole := text
	host, port, err := net.SplitHostPort(text)
	n, errPort := strconv.Atoi(port)
	if err != nil || errPort != nil || n < 0 || n > 65535 {
		if _, err := strconv.ParseUint(text, 10, 16); err != nil {
			text = "8421"
		}
		k.fault(name, "write host:port, such as 127.0.0.1:"+text, "%s %q is not an address", name, whole)
		return "", false
	}
	return host, true
}

// loopback says whether a host is this machine. An empty host is every
// interface, and a name other than localhost may be anything.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// mesh reads the mesh section of a robot's or a conductor's file.
func (k keys) mesh(read source) (Mesh, keys) {
	x := k.r.section(k.node("mesh"), &meshSection, "mesh")
	m := Mesh{Off: x.boolean("off"), Bind: x.text("bind", defaultBind), KeyFile: x.existing("key_file", read)}
	if n := x.node("join"); n != nil && !(n.kind == kindScalar && n.text == "auto") {
		m.Join = x.join(n)
	}
	m.Members, m.Port = x.texts("members"), x.integer("port", 0)
	if !m.Off {
		x.guarded("bind", m.Bind, "mesh", "key_file")
	}
	return m, x
}

// ungiven reports signals of the cell on a robot that takes no part in it.
func (l *loader) ungiven() {
	if l.fromCell != nil {
		l.faultf(l.fromCell, "name the robots of the cell under mesh.members", "a signal is from: cell, and the robot coordinates with nobody")
	}
}

// maxMembers bounds a cell that coordinates: a membership has about 50 at most.
const maxMembers = 64

// members checks who coordinates with the robot.
func (l *loader) members(x keys) {
	m := &l.robot.Mesh
	if m.Members == nil || m.Off {
		l.ungiven()
		return
	}
	seen := map[string]bool{}
	for _, name := range m.Members {
		if err := mesh.ValidName(name); err != nil {
			x.fault("members", "write the names that the robots have in their robot.yaml", "members of mesh: %s", err)
		}
		if seen[name] {
			x.fault("members", "leave one of them out; robots of a cell have different names", "members of mesh names %s twice", name)
		}
		seen[name] = true
	}
	switch {
	case len(m.Members) > maxMembers:
		x.fault("members", fmt.Sprintf("divide the cell: at most %d", maxMembers), "members of mesh has %d names", len(m.Members))
	case !seen[l.robot.Name]:
		x.fault("members", "add "+l.robot.Name, "members of mesh does not name this robot")
	}
}

func (k keys) join(n *node) []string {
	if n.kind != kindSequence {
		k.fault("join", "write auto, or a list such as [10.0.0.7:7946]", "join of mesh is not a list of addresses")
		return nil
	}
	out := []string{}
	for _, a := range k.texts("join") {
		if host, ok := k.address("join", a); ok {
			out = append(out, a)
			if !loopback(host) && !k.has("key_file") {
				k.fault("join", "add key_file", "join %s goes to another host without key_file", a)
			}
		}
	}
	return out
}
