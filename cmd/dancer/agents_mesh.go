package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	console "dancer/mesh/operator"
)

// pages lists agents of a mesh.
func (o *agentFlags) pages(cmd *cobra.Command) error {
	q := o.query()
	if o.all {
		q.Set("limit", strconv.Itoa(console.MaxPage))
	}
	var page console.Page
	for first := true; first || o.all && page.Next >= 0; first = false {
		var next console.Page
		if err := o.get(cmd.Context(), "/api/v1/mesh/agents?"+q.Encode(), &next); err != nil {
			return o.meshless(err)
		}
		next.Agents = append(page.Agents, next.Agents...)
		page = next
		q.Set("after", strconv.Itoa(page.Next))
	}
	if o.asJSON {
		return printJSON(cmd, page)
	}
	return printPage(cmd, &page)
}

func (o *agentFlags) query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	scope := ""
	switch {
	case o.sector >= 0:
		scope = "sector-" + strconv.Itoa(o.sector)
	case o.cluster >= 0:
		scope = "cluster-" + strconv.Itoa(o.cluster)
	}
	set("scope", scope)
	set("class", o.Class)
	set("capability", o.Capability)
	set("state", o.State)
	if o.Flagged {
		q.Set("flagged", "true")
	}
	q.Set("limit", strconv.Itoa(o.Limit))
	q.Set("after", strconv.Itoa(o.After))
	return q
}

func printPage(cmd *cobra.Command, page *console.Page) error {
	if page.Total == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "no agents")
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tCLASS\tSTATE\tFLAGS\tSECTOR\tCLUSTER\tREADY IN\tDELAY\tQUEUE\tSCORE\tHEARD")
	for i := range page.Agents {
		a := &page.Agents[i]
		row := []string{a.Name, a.Class, a.State, strings.Join(a.Flags, ","), a.Sector, a.Cluster, milliseconds(a.ReadyMS), milliseconds(a.DelayMS),
			strconv.Itoa(a.Queue), strconv.Itoa(a.Score), "never"}
		if a.SilentMS > 0 {
			row[10] = fmt.Sprintf("%.1f s ago", a.SilentMS/1000)
		}
		for i, cell := range row {
			if row[i] = plain(cell); cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(page.Agents) < page.Total {
		more := ""
		if page.Next >= 0 {
			more = fmt.Sprintf("; the next with --after %d, all with --all", page.Next)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d%s\n", len(page.Agents), page.Total, more)
	}
	return nil
}

func milliseconds(ms float64) string {
	if ms == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", ms)
}
