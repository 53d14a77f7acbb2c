package boards

import (
	"fmt"
	"io/fs"
	"path"

	"github.com/goccy/go-yaml"
)

// file is a profile as it is written in YAML.
type file struct {
	Name       string   `yaml:"name"`
	Title      string   `yaml:"title"`
	Models     []string `yaml:"models"`
	Compatible []string `yaml:"compatible"`
	Source     string   `yaml:"source"`
	Chip       string   `yaml:"chip"`
	Headers    []string `yaml:"headers"` // files of the folder headers, without .yaml
	Simulated  bool     `yaml:"simulated"`
	Open       bool     `yaml:"open"`
	PWMChips   []struct {
		Name         string `yaml:"name"`
		Device       string `yaml:"device"`
		SharedPeriod bool   `yaml:"shared_period"`
	} `yaml:"pwm_chips"`
	Serial []struct {
		Device  string   `yaml:"device"`
		Aliases []string `yaml:"aliases"`
		Pins    []string `yaml:"pins"`
		Use     string   `yaml:"use"`
	} `yaml:"serial"`
	I2C []struct {
		Device string   `yaml:"device"`
		Pins   []string `yaml:"pins"`
		Use    string   `yaml:"use"`
	} `yaml:"i2c"`
	Notes []string `yaml:"notes"`
}

// header is a pin header as it is written in YAML.
type header struct {
	Connector string         `yaml:"connector"`
	Pins      int            `yaml:"pins"`
	Lines     []headerLine   `yaml:"lines"`
	Power     map[int]string `yaml:"power"`
}

type headerLine struct {
	Header    int    `yaml:"header"`
	Name      string `yaml:"name"`
	SoC       string `yaml:"soc"`
	Chip      string `yaml:"chip"` // "": the profile's
	Offset    int    `yaml:"offset"`
	LineName  string `yaml:"line_name"`
	Pull      string `yaml:"pull"`
	FixedPull bool   `yaml:"fixed_pull"`
	Only      string `yaml:"only"`
	Boot      string `yaml:"boot"`
	Owner     string `yaml:"owner"`
	PWM       *struct {
		Chip    string `yaml:"chip"`
		Channel int    `yaml:"channel"`
		Setup   string `yaml:"setup"`
	} `yaml:"pwm"`
	Functions []string `yaml:"functions"`
}

// read gives a profile with its headers.
func read(fsys fs.FS, name string) (Profile, error) {
	p, headers, err := readProfile(fsys, name)
	if err != nil {
		return Profile{}, err
	}
	for _, h := range headers {
		if err := p.readHeader(fsys, path.Join("headers", h+".yaml")); err != nil {
			return Profile{}, err
		}
	}
	return p, nil
}

// readProfile gives a profile without its lines, and the names of its headers.
func readProfile(fsys fs.FS, name string) (p Profile, headers []string, err error) {
	var f file
	if err := unmarshal(fsys, name, &f); err != nil {
		return Profile{}, nil, err
	}
	p = Profile{
		Name: f.Name, Title: f.Title, Models: f.Models, Compatible: f.Compatible, Source: f.Source, Chip: f.Chip,
		Simulated: f.Simulated, Open: f.Open, Notes: f.Notes,
	}
	for _, s := range f.Serial {
		p.Serial = append(p.Serial, Serial(s))
	}
	for _, b := range f.I2C {
		p.I2C = append(p.I2C, I2C(b))
	}
	for _, c := range f.PWMChips {
		p.PWMChips = append(p.PWMChips, PWMChip(c))
	}
	return p, f.Headers, nil
}

func (p *Profile) readHeader(fsys fs.FS, name string) error {
	var h header
	if err := unmarshal(fsys, name, &h); err != nil {
		return err
	}
	p.Connectors = append(p.Connectors, Connector{h.Connector, h.Pins})
	if p.Power == nil {
		p.Power = make(map[string]string, len(h.Power))
	}
	for pin, what := range h.Power {
		p.Power[pinName(h.Connector, pin)] = what
	}
	for i := range h.Lines {
		p.Lines = append(p.Lines, h.Lines[i].line(p.Chip, h.Connector))
	}
	return nil
}

func (l *headerLine) line(chip, connector string) Line {
	if l.Chip != "" {
		chip = l.Chip
	}
	line := Line{
		Name: l.Name, SoC: l.SoC, Chip: chip, Offset: l.Offset, LineName: l.LineName,
		Connector: connector, Header: l.Header, Pull: l.Pull, FixedPull: l.FixedPull,
		Only: l.Only, Boot: l.Boot, Owner: l.Owner, Functions: l.Functions,
	}
	if l.PWM != nil {
		line.PWM = &PWM{Chip: l.PWM.Chip, Channel: l.PWM.Channel, Setup: l.PWM.Setup}
	}
	return line
}

func unmarshal(fsys fs.FS, name string, into any) error {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return fmt.Errorf("read board file %s: %w", name, err)
	}
	if err := yaml.UnmarshalWithOptions(data, into, yaml.Strict()); err != nil {
		return fmt.Errorf("read board file %s: %w", name, err)
	}
	return nil
}
