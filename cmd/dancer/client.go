package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dancer/runtime/web"
)

const (
	defaultConductor = "http://127.0.0.1:8420"
	answerWait       = 5 * time.Second // for the robot's answer to a ruling or request
	clientTimeout    = 10 * time.Second
	maxAnswer        = 64 << 20
)

// client speaks with a conductor's (or a robot's) HTTP API.
type client struct {
	url       string
	tokenFile string
	caFile    string
	what      string // who is asked, for messages; "" is conductor
	flag      string // the flag that gives its address; "" is --conductor
}

// words name who is asked, the flag of its address and the command that starts
// one.
func (c *client) words() (what, flag, start string) {
	if c.what == "" {
		return "conductor", "--conductor", "dancer conductor"
	}
	return c.what, c.flag, "dancer run ROBOT.yaml"
}

// flags declares --conductor, --token-file and --ca-file.
func (c *client) flags(f *pflag.FlagSet) {
	f.StringVar(&c.url, "conductor", defaultConductor, "address of the conductor")
	f.StringVar(&c.tokenFile, "token-file", "", "file with the conductor's token, where it asks for one")
	f.StringVar(&c.caFile, "ca-file", "", "PEM file with the certificate of an https conductor")
}

// get asks for a document.
func (c *client) get(ctx context.Context, path string, into any) error {
	return c.do(ctx, http.MethodGet, path, nil, into)
}

// post sends a ruling or a request and waits for the robot's answer.
func (c *client) post(ctx context.Context, path string, body any) (web.Receipt, error) {
	var receipt web.Receipt
	raw, err := json.Marshal(body)
	if err != nil {
		return receipt, err
	}
	return receipt, c.do(ctx, http.MethodPost, path+"?wait="+answerWait.String(), raw, &receipt)
}

func (c *client) do(ctx context.Context, method, path string, body []byte, into any) error {
	base, err := url.Parse(c.url)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		_, flag, _ := c.words()
		example := defaultConductor
		if flag == "--robot" {
			example = defaultRobot
		}
		return exitError{exitUsage, fmt.Errorf("read %s %q: no address (write %s)", flag, plain(c.url), example)}
	}
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.url, "/")+path, bytes.NewReader(body))
	if err != nil {
		return exitError{exitUsage, err}
	}
	request.Header.Set("Content-Type", "application/json")
	if err := c.authorize(request); err != nil {
		return exitError{exitUsage, err}
	}
	transport, err := c.transport()
	if err != nil {
		return exitError{exitUsage, err}
	}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return exitError{exitJob, c.unreached(err)}
	}
	defer response.Body.Close()
	return c.read(response, into)
}

func (c *client) authorize(request *http.Request) error {
	if c.tokenFile == "" {
		return nil
	}
	token, err := os.ReadFile(c.tokenFile)
	if err != nil {
		return fmt.Errorf("read --token-file: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	return nil
}

func (c *client) transport() (*http.Transport, error) {
	t := &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}
	if c.caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.caFile)
	if err != nil {
		return nil, fmt.Errorf("read --ca-file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read --ca-file %s: it holds no certificate in PEM", c.caFile)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}

// unreached says why nobody answered, and what to do.
func (c *client) unreached(err error) error {
	what, flag, start := c.words()
	var unknown x509.UnknownAuthorityError
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("ask %s %s: nothing answers there (start one with `%s`, or give its address with %s)", what, c.url, start, flag)
	case errors.As(err, &unknown):
		return fmt.Errorf("ask %s %s: its certificate is not known here (give it with --ca-file)", what, c.url)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("ask %s %s: no answer within %s (is it the right address? give it with %s)", what, c.url, clientTimeout, flag)
	}
	return fmt.Errorf("ask %s %s: %w (give its address with %s)", what, c.url, err, flag)
}

// read takes an answer: a document, or an error document with its own words.
func (c *client) read(response *http.Response, into any) error {
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return exitError{exitJob, fmt.Errorf("read answer of %s: %w", c.url, err)}
	}
	if response.StatusCode >= 300 {
		return c.refused(response.StatusCode, raw)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		_, flag, _ := c.words()
		return exitError{exitJob, fmt.Errorf("read answer of %s: not a dancer's answer: %w (is it the right address? give it with %s)", c.url, err, flag)}
	}
	return nil
}

func (c *client) refused(status int, raw []byte) error {
	what, flag, _ := c.words()
	var p web.Problem
	if json.Unmarshal(raw, &p) != nil || p.Detail == "" {
		return exitError{exitJob, fmt.Errorf("ask %s %s: it answered %d %s (is it the right address? give it with %s)", what, c.url, status, http.StatusText(status), flag)}
	}
	p.Detail, p.Hint = plain(p.Detail), plain(p.Hint)
	switch status {
	case http.StatusUnauthorized:
		return exitError{exitJob, fmt.Errorf("ask %s %s: it asks for a token (give it with --token-file)", what, c.url)}
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return exitError{exitUsage, p}
	}
	return exitError{exitJob, p}
}

// control asks a robot through its conductor to start, stop or clear.
func (c *client) control(cmd *cobra.Command, robot, do, by, latch string) error {
	if robot == "" {
		return exitError{exitUsage, fmt.Errorf("say which robot: dancer %s ROBOT --conductor %s", do, c.url)}
	}
	receipt, err := c.post(cmd.Context(), "/api/v1/agents/"+url.PathEscape(robot)+"/"+do, map[string]string{"by": by, "latch": latch})
	if err != nil {
		return err
	}
	return told(cmd, robot, receipt)
}

// told prints what a robot made of a ruling or request. Anything but "applied"
// and "kept" is a job that failed.
func told(cmd *cobra.Command, robot string, receipt web.Receipt) error {
	out := cmd.OutOrStdout()
	if receipt.Ack == nil {
		fmt.Fprintf(out, "%s: stored; %s has not answered within %s\n", receipt.ID, robot, answerWait)
		return nil
	}
	line := receipt.Ack.Outcome
	if receipt.Ack.Why != "" {
		line += ": " + receipt.Ack.Why
	}
	if receipt.Ack.Running != "" {
		line += " (runs now: " + receipt.Ack.Running + ")"
	}
	fmt.Fprintf(out, "%s: %s\n", robot, plain(line))
	switch receipt.Ack.Outcome {
	case "applied", "kept":
		return nil
	}
	return exitError{exitJob, nil}
}

// plain makes text of a peer safe for a terminal: no control characters.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// printJSON prints a result for scripts.
func printJSON(cmd *cobra.Command, v any) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(v)
}
