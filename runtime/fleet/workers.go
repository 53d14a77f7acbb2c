package fleet

// workers are goroutines that run the shares of a fleet at the same time: one less than
// there are shares, the caller is the first. They end with stop.
type workers struct {
	jobs []chan func(int)
	done chan struct{}
}

// each implements run.Config.Each. The first call makes the workers.
func (w *workers) each(n int, do func(i int)) {
	if w.done == nil {
		w.done = make(chan struct{}, n)
	}
	for len(w.jobs) < n-1 {
		w.jobs = append(w.jobs, make(chan func(int)))
		go w.work(len(w.jobs), w.jobs[len(w.jobs)-1])
	}
	for _, job := range w.jobs[:n-1] {
		job <- do
	}
	do(0)
	for range n - 1 {
		<-w.done
	}
}

func (w *workers) work(i int, jobs <-chan func(int)) {
	for do := range jobs {
		do(i)
		w.done <- struct{}{}
	}
	w.done <- struct{}{}
}

// stop ends the workers and waits for them.
func (w *workers) stop() {
	for _, job := range w.jobs {
		close(job)
	}
	for range w.jobs {
		<-w.done
	}
	w.jobs = nil
}
