package brain

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"dancer/runtime/config"
	"dancer/runtime/web"
	"dancer/storage/recording"
)

// opened is what a brain takes while it may still do so: before it becomes a user
// who can read no key and write to no folder but its own. Nothing of it is in that
// folder, where a brain before this one may have left links.
type opened struct {
	password  string // of the broker, "" for none
	authority []byte // what the broker's certificate is checked against, nil for none
	brokerErr error
	brokers   []brokerAccess // of config.Robot.Brokers

	gossipKey []byte
	meshErr   error

	token   string
	page    *web.Bound // nil: there is none
	pageErr error

	recording    *os.File // nil: none is asked for, or
	recordingErr error
}

// open takes everything. An error is kept for whoever misses what it is about.
func (b *brain) open(recordPath string) {
	o, robot := &b.opened, b.robot
	o.password, o.authority, o.brokerErr = brokerSecrets("conductor", robot.Conductor)
	o.brokers = make([]brokerAccess, len(robot.Brokers))
	for i := range robot.Brokers {
		a, broker := &o.brokers[i], &robot.Brokers[i]
		a.password, a.authority, a.err = brokerSecrets("mqtt."+broker.Name, broker.ConductorLink)
	}
	if !robot.Mesh.Off {
		o.gossipKey, o.meshErr = gossipKey(robot.Mesh)
	}
	o.token, o.page, o.pageErr = openPage(robot)
	if recordPath != "" {
		o.recording, o.recordingErr = recording.Make(recordPath)
	}
}

// close gives back what nobody has taken over.
func (o *opened) close() error {
	var errs []error
	if o.page != nil {
		errs = append(errs, o.page.Close())
	}
	if o.recording != nil {
		errs = append(errs, o.recording.Close())
	}
	return errors.Join(errs...)
}

// brokerSecrets reads the broker's password and what its certificate is checked
// against.
func brokerSecrets(section string, link config.ConductorLink) (password string, authority []byte, err error) {
	if link.Broker == "off" {
		return "", nil, nil
	}
	if link.PasswordFile != "" {
		text, err := os.ReadFile(link.PasswordFile)
		if err != nil {
			return "", nil, fmt.Errorf("read %s.password_file: %w", section, err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	if link.CAFile != "" {
		if authority, err = os.ReadFile(link.CAFile); err != nil {
			return "", nil, fmt.Errorf("read %s.ca_file: %w", section, err)
		}
	}
	return password, authority, nil
}

// openPage reads the page's token and certificate and listens at its address.
func openPage(robot *config.Robot) (token string, page *web.Bound, err error) {
	if robot.Listen == "off" {
		return "", nil, nil
	}
	if robot.TokenFile != "" {
		text, err := os.ReadFile(robot.TokenFile)
		if err != nil {
			return "", nil, fmt.Errorf("read token_file: %w", err)
		}
		token = strings.TrimSpace(string(text))
	}
	options := web.ServerOptions{Address: robot.Listen, Certificate: robot.Certificate, Key: robot.Key}
	options.Token = token
	if page, err = web.Bind(&options); err != nil {
		return token, nil, fmt.Errorf("%w: set listen in %s, or listen: off", err, robot.Path)
	}
	return token, page, nil
}
