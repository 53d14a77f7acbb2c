package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// guard refuses foreign Host and Origin headers before anything else is looked
// at, and sets the headers that every answer carries.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !s.knownHost(r) {
			fail(w, problem(http.StatusMisdirectedRequest, "foreign-host", fmt.Sprintf("answer %s: the Host header names a foreign host %q", r.URL.Path, clip(r.Host)), "use the address that the process printed at its start"))
			return
		}
		if reason, ok := ownOrigin(r); !ok {
			fail(w, problem(http.StatusForbidden, "foreign-origin", fmt.Sprintf("answer %s: the request comes from another site (%s)", r.URL.Path, clip(reason)), "open the dashboard itself"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// knownHost accepts loopback names, the address that the request came in on, and
// the configured names. Any port: people forward ports, and a rebound name stays
// foreign whatever its port.
func (s *server) knownHost(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || slices.ContainsFunc(s.options.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	return err == nil && at.Addr().Unmap() == ip.Unmap()
}

// ownOrigin accepts requests of programs (no Origin) and of our own page.
func ownOrigin(r *http.Request) (string, bool) {
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		if !(r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate") {
			return "Sec-Fetch-Site: " + site, false
		}
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return "", true
	}
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return "Origin: " + origin, strings.EqualFold(origin, scheme+r.Host)
}

func clip(s string) string {
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return s
}

// private asks for the token, or for the session of a page that gave it.
func (s *server) private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.sessions.allowed(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="dancer"`)
			fail(w, problem(http.StatusUnauthorized, "token", "answer "+r.URL.Path+": a token is needed", "send Authorization: Bearer TOKEN, or give --token-file"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Sessions of pages, as an EventSource cannot send a header.
const (
	sessionCookie = "dancer_session"
	sessionLife   = 12 * time.Hour
	sessionLimit  = 64 // the oldest goes first
)

type sessions struct {
	token string
	now   func() time.Time
	tries *rate.Limiter // wrong tokens, of all callers together
	mutex sync.Mutex
	until map[string]time.Time
}

func newSessions(token string, now func() time.Time) *sessions {
	return &sessions{token: token, now: now, tries: rate.NewLimiter(rate.Every(time.Second), 10), until: map[string]time.Time{}}
}

func (s *sessions) allowed(r *http.Request) bool {
	if s.token == "" {
		return true
	}
	if given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return s.right(strings.TrimSpace(given))
	}
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return false
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	until, ok := s.until[c.Value]
	return ok && s.now().Before(until)
}

// right compares in constant time, whatever the lengths.
func (s *sessions) right(given string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func (s *sessions) open() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails (crypto/rand)
	id := base64.RawURLEncoding.EncodeToString(raw[:])
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.until) >= sessionLimit {
		oldest := ""
		for k, t := range s.until {
			if oldest == "" || t.Before(s.until[oldest]) {
				oldest = k
			}
		}
		delete(s.until, oldest)
	}
	s.until[id] = s.now().Add(sessionLife)
	return id
}

// postSession exchanges the token for a cookie that only this site's page sends.
func (s *server) postSession(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Token string `json:"token"`
	}
	if err := readBody(w, r, &body, true); err != nil {
		fail(w, err)
		return
	}
	if s.options.Token != "" && !s.sessions.right(strings.TrimSpace(body.Token)) {
		if !s.sessions.tries.Allow() {
			w.Header().Set("Retry-After", "10")
			fail(w, problem(http.StatusTooManyRequests, "too-many-tries", "open session: too many wrong tokens", "wait ten seconds"))
			return
		}
		fail(w, problem(http.StatusUnauthorized, "token", "open session: the token is wrong", "it is in the file that token_file of conductor.yaml names"))
		return
	}
	http.SetCookie(w, s.cookie(r, s.sessions.open(), int(sessionLife.Seconds())))
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) deleteSession(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(sessionCookie); err == nil {
		s.sessions.mutex.Lock()
		delete(s.sessions.until, c.Value)
		s.sessions.mutex.Unlock()
	}
	http.SetCookie(w, s.cookie(r, "", -1))
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{Name: sessionCookie, Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode}
}
