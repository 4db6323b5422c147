// SPDX-License-Identifier: MIT

package page

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shim6/test/figures/figure"
)

func TestReportNeedsNoOtherFile(t *testing.T) {
	out := t.TempDir()
	if err := os.MkdirAll(filepath.Join(out, "fig6"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "fig6", "fig6.png"), []byte("picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	with := &figure.Result{Figure: "fig6", Title: "Six", OK: true, Claim: "Less < more.", Measured: []string{"7 & 8"}}
	with.Gate("a gate", "a claim", true, "%d of 3", 3)
	without := &figure.Result{Figure: "fig9", Title: "Nine", Error: "no <kernel>"}
	without.Gate("another", "", false, "nothing")
	path := filepath.Join(out, "report.html")
	if err := Write(path, out, []*figure.Result{with, without}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, want := range []string{
		`src="data:image/png;base64,cGljdHVyZQ=="`, "Less &lt; more.", "7 &amp; 8", "3 of 3", "Not finished: no &lt;kernel&gt;", "FAIL",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not have %q", want)
		}
	}
	for _, not := range []string{`src="h`, "<link", "<script", "@import", "ZgotmplZ"} {
		if strings.Contains(text, not) {
			t.Errorf("the report has %q", not)
		}
	}
	if strings.Count(text, "<img") != 1 {
		t.Error("not one picture")
	}
}
