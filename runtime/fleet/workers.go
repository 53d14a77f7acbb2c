package fleet

import "sync/atomic"

// spins is how often a worker looks for its next job, and the caller for its end, before
// it goes to sleep: about half a millisecond. To wake a thread up costs as much as a
// window of a fleet takes, and on a busy machine a whole slice of somebody else's time.
const spins = 1 << 18

// patience is how often in a row looking may be in vain: then there is no processor for
// the others, and it is not done any more.
const patience = 64

// workers are goroutines that run the shares of a fleet at the same time: one less than
// there are shares, the caller is the first. They end with stop.
type workers struct {
	jobs   []*job
	idle   int  // waits in a row that looking did not end
	asleep bool // nobody looks any more
}

// job is what one worker has to do. Either side changes ready from what it waits for.
type job struct {
	ready atomic.Uint32 // 1: for the worker
	sleep atomic.Bool   // do not look, wait for the channels
	do    func(int)
	start chan struct{}
	ended chan struct{}
}

// each implements run.Config.Each. The first call makes the workers.
func (w *workers) each(n int, do func(i int)) {
	for len(w.jobs) < n-1 {
		j := &job{start: make(chan struct{}, 1), ended: make(chan struct{}, 1)}
		w.jobs = append(w.jobs, j)
		go j.work(len(w.jobs))
	}
	for _, j := range w.jobs[:n-1] {
		j.do = do
		j.sleep.Store(w.asleep)
		j.ready.Store(1)
		j.start <- struct{}{}
	}
	do(0)
	for _, j := range w.jobs[:n-1] {
		w.wait(j)
	}
}

// wait ends when a worker has done its job.
func (w *workers) wait(j *job) {
	if !w.asleep {
		if look(&j.ready, 0) {
			w.idle = 0
		} else if w.idle++; w.idle >= patience {
			w.asleep = true
		}
	}
	<-j.ended
}

// look says whether a value has come before patience ran out.
func look(at *atomic.Uint32, want uint32) bool {
	for range spins {
		if at.Load() == want {
			return true
		}
	}
	return false
}

func (j *job) work(i int) {
	for range j.start {
		j.do(i)
		j.ready.Store(0)
		j.ended <- struct{}{}
		if !j.sleep.Load() {
			look(&j.ready, 1)
		}
	}
	close(j.ended)
}

// stop ends the workers and waits for them.
func (w *workers) stop() {
	for _, j := range w.jobs {
		close(j.start)
		for range j.ended {
		}
	}
	w.jobs = nil
}
