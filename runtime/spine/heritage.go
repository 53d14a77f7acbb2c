package spine

import (
	"log/slog"
	"os"
	"slices"
	"strings"

	"dancer/reflex"
	"dancer/runtime/config"
	"dancer/runtime/link"
)

// heritage is what a run takes over from the one before it.
type heritage struct {
	latches   []int          // rules
	autostart bool           // this is the first run of a boot, and nothing is in doubt
	told      []link.Restart // why the spine starts, for the operator
	record    runRecord      // of this run
	stored    bool           // record and latches are on the disk
}

// bootID is where the kernel says which boot this is.
const bootID = "/proc/sys/kernel/random/boot_id"

// thisBoot is the kernel's boot id, "" if it cannot be read.
func thisBoot() string {
	text, err := os.ReadFile(bootID)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// inherit reads what the last run left and writes, before anything can move, that
// this one runs. What is in doubt takes the unsafe side: every rule that can latch
// is latched, and autostart is not waived,
//
//   - when the file is damaged, or cannot be read;
//   - when it names a latch that no rule has any more: nobody can clear that one;
//   - when the file cannot be written: what happened last may be missing in it.
//
// Autostart holds for the first run of a boot alone: a spine that died and was
// started again is no boot.
func inherit(f *latchFile, r *config.Robot, boot string, log *slog.Logger) heritage {
	h := heritage{record: runRecord{Boot: boot}}
	before, err := f.read()
	doubt := err != nil
	if err != nil {
		log.Error("latches of the last run are not known: every latching reflex is latched", "error", err, "cure", cureLatches)
	}
	same := before != nil && boot != "" && before.Boot == boot
	if before != nil {
		doubt = h.latched(before, r, log) || doubt
		h.record.ResetTold = same && before.ResetTold
		h.died(before, same, log)
	}
	if doubt {
		h.latchAll(r)
	}
	if err := writeLatches(f, h.record, ruleNames(r, h.latches)); err != nil {
		log.Error("the data folder cannot be written, so what it says may be old: every latching reflex is latched",
			"error", err, "cure", "make room or mend the disk; then "+cureLatches)
		h.latchAll(r)
		doubt = true
	} else {
		h.stored = true
	}
	h.autostart = !doubt && !same && boot != ""
	if r.Autostart && !h.autostart {
		log.Warn("autostart waives the start for boot alone, and this is none, or something is in doubt", "cure", "dancer start")
	}
	return h
}

const cureLatches = "dancer clear, when the robot is safe"

// latched takes the latches over and says whether one of them has no rule.
func (h *heritage) latched(before *runRecord, r *config.Robot, log *slog.Logger) (unknown bool) {
	for _, name := range before.Latches {
		i := slices.IndexFunc(r.Manual.Rules, func(rule reflex.Rule) bool { return rule.Name == name })
		if i < 0 {
			log.Error("a latched reflex is not in the manual any more: every latching reflex is latched in its place", "reflex", name, "cure", cureLatches)
			unknown = true
			continue
		}
		h.latches = append(h.latches, i)
	}
	return unknown
}

// died tells of a run that did not end in order.
func (h *heritage) died(before *runRecord, same bool, log *slog.Logger) {
	if before.Ended {
		return
	}
	why := link.RestartPower
	if same {
		why = link.RestartDied
	}
	h.told = append(h.told, why)
	log.Warn("start", "why", why.String())
}

func (h *heritage) latchAll(r *config.Robot) {
	for i := range r.Manual.Rules {
		if r.Manual.Rules[i].Latch && !slices.Contains(h.latches, i) {
			h.latches = append(h.latches, i)
		}
	}
}

func ruleNames(r *config.Robot, rules []int) []string {
	names := make([]string, 0, len(rules))
	for _, i := range rules {
		names = append(names, r.Manual.Rules[i].Name)
	}
	return names
}
