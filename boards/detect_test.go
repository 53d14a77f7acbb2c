package boards

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// tree is the file system of a machine, from the text of its device tree and the
// labels of its GPIO chips.
func tree(model, compatible string, labels ...string) fstest.MapFS {
	m := fstest.MapFS{"etc/hostname": {Data: []byte("robot")}}
	if model != "" {
		m["proc/device-tree/model"] = &fstest.MapFile{Data: []byte(model + "\x00")}
	}
	if compatible != "" {
		m["proc/device-tree/compatible"] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(compatible, " ", "\x00") + "\x00")}
	}
	for i, label := range labels {
		// Numbers as a kernel gives them: nobody may look at them.
		m["sys/class/gpio/gpiochip"+[]string{"512", "0", "64", "571"}[i]+"/label"] = &fstest.MapFile{Data: []byte(label + "\n")}
	}
	return m
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		name string
		tree fs.FS
		want string
		by   string
	}{
		{"Pi Zero 2 W", tree("Raspberry Pi Zero 2 W Rev 1.0", "raspberrypi,model-zero-2-w brcm,bcm2837", "pinctrl-bcm2835", "raspberrypi-exp-gpio"), "raspberry-pi-zero-2-w", "compatible"},
		{"Pi 3 B", tree("Raspberry Pi 3 Model B Rev 1.2", "raspberrypi,3-model-b brcm,bcm2837", "pinctrl-bcm2835"), "raspberry-pi-3", "compatible"},
		{"Pi 3 B+", tree("Raspberry Pi 3 Model B Plus Rev 1.3", "raspberrypi,3-model-b-plus brcm,bcm2837"), "raspberry-pi-3", "compatible"},
		{"Pi 3 by model", tree("Raspberry Pi 3 Model A Plus Rev 1.0", ""), "raspberry-pi-3", "model"},
		{"Pi 4", tree("Raspberry Pi 4 Model B Rev 1.4", "raspberrypi,4-model-b brcm,bcm2711", "pinctrl-bcm2711", "raspberrypi-exp-gpio"), "raspberry-pi-4", "compatible"},
		{"Pi 4 by model", tree("Raspberry Pi 4 Model B Rev 1.4", "brcm,bcm2711"), "raspberry-pi-4", "model"},
		{"Pi 400", tree("Raspberry Pi 400 Rev 1.0", "raspberrypi,400 brcm,bcm2711"), "raspberry-pi-400", "compatible"},
		{"Pi 400 by model", tree("Raspberry Pi 400 Rev 1.0", ""), "raspberry-pi-400", "model"},
		{"CM4", tree("Raspberry Pi Compute Module 4 Rev 1.1", "raspberrypi,4-compute-module brcm,bcm2711"), "raspberry-pi-cm4", "compatible"},
		{"CM4 by model", tree("Raspberry Pi Compute Module 4 Rev 1.1", ""), "raspberry-pi-cm4", "model"},
		{"Pi 5", tree("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b brcm,bcm2712", "pinctrl-rp1", "gpio-brcmstb@107d508500"), "raspberry-pi-5", "compatible"},
		{"Jetson Nano", tree("NVIDIA Jetson Nano Developer Kit", "nvidia,p3450-0000 nvidia,jetson-nano nvidia,tegra210", "tegra-gpio", "max77620-gpio"), "jetson-nano", "compatible"},
		{"Orin Nano", tree("NVIDIA Jetson Orin Nano Developer Kit", "nvidia,p3768-0000+p3767-0005 nvidia,p3767-0005 nvidia,tegra234", "tegra234-gpio", "tegra234-gpio-aon"), "jetson-orin-nano", "compatible"},
		{"Orin Nano Super", tree("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "nvidia,p3768-0000+p3767-0005-super nvidia,p3767-0005 nvidia,tegra234"), "jetson-orin-nano", "compatible"},
		{"Orin Nano by model", tree("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", ""), "jetson-orin-nano", "model"},
		{"Orin NX", tree("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", "nvidia,p3768-0000+p3767-0000 nvidia,p3767-0000 nvidia,tegra234"), "jetson-orin-nx", "compatible"},
		{"AGX Orin", tree("NVIDIA Jetson AGX Orin Developer Kit", "nvidia,p3737-0000+p3701-0005 nvidia,p3701-0005 nvidia,tegra234"), "jetson-agx-orin", "compatible"},
		{"BeagleBone Black", tree("TI AM335x BeagleBone Black", "ti,am335x-bone-black ti,am335x-bone ti,am33xx", "gpio-0-31", "gpio-32-63", "gpio-64-95", "gpio-96-127"), "beaglebone-black", "compatible"},
		{"another BeagleBone", tree("TI AM335x PocketBeagle", "ti,am335x-pocketbeagle ti,am335x-bone ti,am33xx"), "linux", "nothing"},
		{"unknown board", tree("Pine64 RockPro64 v2.1", "pine64,rockpro64-v2.1 rockchip,rk3399", "gpio0"), "linux", "nothing"},
		{"unknown board with a known chip", tree("Some Carrier", "some,carrier nvidia,tegra234", "pinctrl-rp1"), "linux", "nothing"},
		{"virtual machine", tree("linux,dummy-virt", "linux,dummy-virt", "9030000.pl061"), "linux", "nothing"},
		{"no device tree", tree("", ""), "linux", "nothing"},
		{"no device tree, chip of one board", tree("", "", "pinctrl-rp1"), "raspberry-pi-5", "GPIO chip"},
		{"no device tree, chip of three boards", tree("", "", "pinctrl-bcm2711"), "linux", "nothing"},
		{"only the tree of sysfs", fstest.MapFS{"sys/firmware/devicetree/base/model": {Data: []byte("Raspberry Pi 5 Model B Rev 1.0\x00")}}, "raspberry-pi-5", "model"},
		{"garbage", tree("\xff\xfe\x01Raspberry Pi 4", "\x1b[31m raspberrypi\x7f,4-model-b", "\xff"), "linux", "nothing"},
		{"empty properties", fstest.MapFS{"proc/device-tree/model": {}, "proc/device-tree/compatible": {Data: []byte{0, 0, 0}}}, "linux", "nothing"},
		{"a megabyte", tree(strings.Repeat("Raspberry", 1<<17), strings.Repeat("x", 1<<20)), "linux", "nothing"},
	} {
		got, err := Identify(c.tree)
		if err != nil || got.Board != c.want || got.By != c.by {
			t.Errorf("%s: got %s by %s, %v, want %s by %s", c.name, got.Board, got.By, err, c.want, c.by)
		}
		if board, err := Detect(c.tree); err != nil || board != c.want {
			t.Errorf("%s: detected %s, %v", c.name, board, err)
		}
	}
}

// TestIdentifySays: what was read is given as well, in a form that is safe for a
// terminal.
func TestIdentifySays(t *testing.T) {
	m, err := Identify(tree("Raspberry Pi 4 Model B Rev 1.4", "raspberrypi,4-model-b \x1b[2J brcm,bcm2711", "raspberrypi-exp-gpio", "pinctrl-bcm2711", "pinctrl-bcm2711"))
	if err != nil || m.Model != "Raspberry Pi 4 Model B Rev 1.4" {
		t.Fatalf("%+v, %v", m, err)
	}
	if want := []string{"raspberrypi,4-model-b", "brcm,bcm2711"}; !slices.Equal(m.Compatible, want) {
		t.Errorf("compatible %q, want %q", m.Compatible, want)
	}
	if want := []string{"pinctrl-bcm2711", "raspberrypi-exp-gpio"}; !slices.Equal(m.Chips, want) {
		t.Errorf("chips %q, want %q", m.Chips, want)
	}
}

func TestDetectReportsAnUnreadableModel(t *testing.T) {
	if _, err := Detect(broken{}); err == nil || !strings.Contains(err.Error(), "read board model") {
		t.Errorf("got %v", err)
	}
}

type broken struct{}

func (broken) Open(string) (fs.File, error) { return nil, fs.ErrPermission }

func BenchmarkDetect(b *testing.B) {
	machine := tree("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b brcm,bcm2712")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Detect(machine); err != nil {
			b.Fatal(err)
		}
	}
}

// TestLongestModelWins whatever the order of the profiles.
func TestLongestModelWins(t *testing.T) {
	all := []Profile{{Name: "long", Models: []string{"Board 40"}}, {Name: "short", Models: []string{"Board 4"}}}
	for range 2 {
		m := Machine{Model: "Board 400 Rev 1"}
		if !m.byModel(all) || m.Board != "long" {
			t.Errorf("got %s from %v", m.Board, all)
		}
		slices.Reverse(all)
	}
}
