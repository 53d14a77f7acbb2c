package conductor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dancer/mesh"
	"dancer/mesh/broker"
	core "dancer/mesh/conductor"
	"dancer/mesh/gossip"
	"dancer/mesh/mqtt"
	"dancer/runtime/config"
	"dancer/runtime/conflicts"
	"dancer/runtime/web"
	"dancer/storage"
	"dancer/storage/bolt"
)

// Config of a conductor.
type Config struct {
	Settings *config.Conductor
	Data     string // folder for what must survive
	Version  string
	Log      *slog.Logger
	// Ready is told the addresses once everything listens; may be nil.
	Ready func(Addresses)
}

// Addresses that a conductor is reached at.
type Addresses struct {
	Dashboard string // URL
	Broker    string // URL
}

// How much of the past is loaded at a start; the rest stays on the disk.
const loadQuestions = 11_000

const (
	storeTimeout = 10 * time.Second
	leaveTimeout = 3 * time.Second
	judgeEvery   = time.Second // agents' life and the membership of the cell
)

// service is one running conductor.
type service struct {
	config    Config
	log       *slog.Logger
	started   time.Time
	ids       *mesh.IDs
	store     *bolt.Store
	questions storage.Repository[core.Question]
	broker    *broker.Broker // nil: another one's
	client    *mqtt.Client
	cell      *gossip.Gossip // nil: no gossip
	hub       *web.Hub
	desk      *web.Desk
	registry  *prometheus.Registry
	server    *web.Server
	post      post
	strangers strangers
	conflicts *conflicts.Keeper // nil: its log cannot be written, and the page says so
}

// Run runs a conductor until ctx is over. Everything that can be wrong with its
// settings, folder, ports and password is an error before it serves, except a
// broker that cannot be reached yet: that is tried on.
func Run(ctx context.Context, c Config) (err error) {
	if c.Settings.Scope != "cell" {
		return fmt.Errorf("run conductor: scope %s is not available in this version (use cell)", c.Settings.Scope)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &service{config: c, log: c.Log, started: time.Now(), ids: mesh.NewIDs(rand.Reader), hub: web.NewHub(), registry: prometheus.NewRegistry()}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(ctx); err != nil {
		return err
	}
	return s.serve(ctx)
}

// open brings up what the conductor stands on, in the order in which it is
// needed; close undoes it in reverse, whatever of it is there.
func (s *service) open(ctx context.Context) error {
	for _, step := range []func(context.Context) error{s.openStore, s.openConflicts, s.openBroker, s.openClient, s.openDesk, s.openServer, s.openCell} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) openStore(context.Context) (err error) {
	s.store, err = bolt.OpenWith(s.config.Data, "conductor", bolt.Options{Log: s.log})
	if err != nil {
		return err
	}
	for _, note := range s.store.Notes() {
		s.log.Warn("data folder repaired", "note", note)
	}
	for _, id := range s.store.Outbox().IDs() {
		s.ids.After(id)
	}
	s.questions = storage.NewRepository[core.Question](s.store, storage.TableEscalations, storage.KindEscalation)
	return nil
}

func (s *service) openBroker(context.Context) error {
	c := s.config.Settings
	if c.Broker != "embedded" {
		return nil
	}
	password, err := secret("password_file", c.PasswordFile)
	if err != nil {
		return err
	}
	pair, err := certificate(c)
	if err != nil {
		return err
	}
	s.broker, err = broker.Start(broker.Options{
		Listen: c.BrokerListen, Dir: filepath.Join(s.config.Data, "broker"), Name: c.Name, Username: c.Username, Password: password, TLS: pair, Log: s.log,
	})
	return err
}

func (s *service) openClient(context.Context) error {
	options, err := s.clientOptions()
	if err != nil {
		return err
	}
	if s.client, err = mqtt.New(options); err != nil {
		return err
	}
	s.post = post{client: s.client, outbox: s.store.Outbox(), from: mesh.ConductorMember(s.config.Settings.Name)}
	return nil
}

func (s *service) openDesk(ctx context.Context) error {
	s.desk = web.NewDesk(web.DeskOptions{
		Hub: s.hub, Moment: s.moment, NewID: func() (string, error) { return s.ids.Next(time.Now()) },
		Status: s.status, Recall: s.recall, Store: s.keep, Send: s.send, Done: s.done,
		Conflict: s.conflict,
	})
	newest, err := s.questions.Newest(loadQuestions)
	if err != nil {
		return fmt.Errorf("load questions: %w", err)
	}
	for i, j := 0, len(newest)-1; i < j; i, j = i+1, j-1 {
		newest[i], newest[j] = newest[j], newest[i]
	}
	if err := s.desk.Restore(ctx, newest); err != nil {
		return fmt.Errorf("load questions: %w", err)
	}
	return s.subscribe(ctx)
}

func (s *service) openServer(context.Context) error {
	c := s.config.Settings
	token, err := secret("token_file", c.TokenFile)
	if err != nil {
		return err
	}
	registerMetrics(s.registry, s)
	options := web.Options{Backend: s.desk, Hub: s.hub, Token: token, Registry: s.registry}
	if s.conflicts != nil {
		options.Conflicts = s.conflicts
	}
	s.server, err = web.Listen(web.ServerOptions{
		Options: options, Address: c.Listen, Certificate: c.Certificate, Key: c.Key, Log: s.log,
	})
	return err
}

// openCell joins the gossip. A conductor that cannot goes on by MQTT alone and
// says so on its page.
func (s *service) openCell(context.Context) error {
	c := s.config.Settings
	if c.Mesh.Off {
		return nil
	}
	key, err := rawSecret("mesh.key_file", c.Mesh.KeyFile)
	if err != nil {
		return err
	}
	s.cell, err = gossip.Start(gossip.Options{
		Name: mesh.ConductorMember(c.Name), Cell: c.Cell, Bind: c.Mesh.Bind, Join: c.Mesh.Join, Key: key, Log: s.log,
		OnConflict: s.clonedName,
	})
	if errors.Is(err, gossip.ErrOptions) {
		return err
	}
	if err != nil {
		s.log.Error("going on without the cell's gossip", "error", err)
		s.strangers.note("gossip", "no gossip: "+err.Error())
	}
	return nil
}

// serve runs everything until ctx is over or a part of it ends with an error.
// The broker ends last, so that the conductor's farewell still passes it.
func (s *service) serve(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	brokerCtx, stopBroker := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBroker()
	var parts, last sync.WaitGroup
	run := func(group *sync.WaitGroup, ctx context.Context, part func(context.Context) error) {
		group.Go(func() {
			if err := part(ctx); err != nil {
				stop(err) // the first cause counts: after an orderly end it is no news
			}
		})
	}
	run(&parts, ctx, s.server.Run)
	run(&parts, ctx, s.client.Run)
	run(&parts, ctx, s.judge)
	run(&last, brokerCtx, s.keepConflicts)
	if s.broker != nil {
		run(&last, brokerCtx, s.broker.Run)
	}
	if s.config.Ready != nil {
		s.config.Ready(Addresses{Dashboard: s.server.URL(), Broker: s.brokerURL()})
	}
	s.log.Info("conductor", "dashboard", s.server.URL(), "broker", s.brokerURL(), "cell", s.config.Settings.Cell, "data", s.config.Data)
	<-ctx.Done()
	parts.Wait()
	stopBroker()
	last.Wait()
	s.broker = nil // it has shut down
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return nil
}

// judge follows the agents' life and the membership of the cell.
func (s *service) judge(ctx context.Context) error {
	tick := time.NewTicker(judgeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var err error
		if s.cell != nil {
			err = s.desk.Members(ctx, s.config.Settings.Cell, members(s.cell.Members()))
		} else {
			err = s.desk.Tick(ctx)
		}
		if err != nil {
			s.log.Warn("judge agents", "error", err)
		}
	}
}

// close ends what open started, in reverse.
func (s *service) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	var err error
	if s.cell != nil {
		err = errors.Join(err, s.cell.Leave(ctx))
	}
	if s.server != nil {
		_ = s.server.Close() // given back already when it ran
	}
	if s.broker != nil {
		err = errors.Join(err, s.broker.Shutdown())
	}
	if s.conflicts != nil {
		err = errors.Join(err, s.conflicts.Close())
	}
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	return err
}

func (s *service) moment() core.Moment {
	now := time.Now()
	return core.Moment{Monotonic: now.Sub(s.started), Wall: now.UTC()}
}
