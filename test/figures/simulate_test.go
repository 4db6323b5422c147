// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const flows = `ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt
2008-08-01 10:00:00.000,2008-08-01 10:00:00.000,0.000,2001:db8:1::1,2001:db8:2::1,1,2,TCP,.,0,0,1,1000,0,0
2008-08-01 10:00:05.000,2008-08-01 10:00:05.000,0.000,2001:db8:2::1,2001:db8:1::1,1,2,TCP,.,0,0,1,1048,0,0
2008-08-01 10:00:07.000,2008-08-01 10:00:07.000,0.000,2001:db8:2::9,2001:db8:1::1,1,2,TCP,.,0,0,1,40,0,0
2008-08-01 10:00:30.000,2008-08-01 10:00:30.000,0.000,2001:db8:1::1,2001:db8:2::1,1,2,TCP,.,0,0,1,40,0,0
Summary
flows,bytes
`

func simulate(t *testing.T, content string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flows.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, complaint bytes.Buffer
	c := command()
	c.SetOut(&out)
	c.SetErr(&complaint)
	c.SetArgs(append([]string{"simulate", path}, args...))
	err = c.Execute()
	return out.String(), complaint.String(), err
}

func TestSimulate(t *testing.T) {
	for name, tc := range map[string]struct {
		args                []string
		setUps, peak, again int
	}{
		"default":  {nil, 1, 1, 0},
		"first":    {[]string{"--trigger", "first", "--idle", "10s"}, 3, 2, 1},
		"custom":   {[]string{"--trigger", "custom", "--after", "5s"}, 1, 1, 0},
		"nobody":   {[]string{"--trigger", "custom", "--bytes", "5000"}, 0, 0, 0},
		"all ends": {[]string{"--trigger", "first", "--local", "2001:db8::/32"}, 4, 4, 0},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"--json"}, tc.args...)
			if name != "all ends" {
				args = append(args, "--local", "2001:db8:1::/48")
			}
			out, _, err := simulate(t, flows, args...)
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Records int
				Results []struct {
					Peak   int
					SetUps int `json:"set_ups"`
					Again  int `json:"set_ups_again"`
				}
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatal(err)
			}
			if got.Records != 4 || len(got.Results) != 1 || got.Results[0].SetUps != tc.setUps || got.Results[0].Peak != tc.peak || got.Results[0].Again != tc.again {
				t.Errorf("%+v, want %+v", got, tc)
			}
		})
	}
}

func TestSimulateText(t *testing.T) {
	series := filepath.Join(t.TempDir(), "series.csv")
	out, complaint, err := simulate(t, flows, "--trigger", "first", "--idle", "10s,20s", "--every", "10s", "--series", series)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"4 records from 2008-08-01 10:00:00 to 2008-08-01 10:00:30", "10s   4     ", "2001:db8:1::1", "20s"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if complaint != "" {
		t.Errorf("complaint %q", complaint)
	}
	raw, err := os.ReadFile(series)
	if err != nil {
		t.Fatal(err)
	}
	if want := "2008-08-01T10:00:10Z,10,4\n"; !strings.Contains(string(raw), want) {
		t.Errorf("%q is not in\n%s", want, raw)
	}
}

func TestSimulateRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		content string
		args    []string
		want    string
	}{
		"trigger":       {flows, []string{"--trigger", "second"}, `there is no trigger "second"`},
		"custom bare":   {flows, []string{"--trigger", "custom"}, "--trigger custom needs --bytes or --after"},
		"bytes alone":   {flows, []string{"--bytes", "7"}, "--bytes and --after are for --trigger custom"},
		"prefix":        {flows, []string{"--local", "2001:db8::"}, "--local: "},
		"idle":          {flows, []string{"--idle", "0s"}, "contexts are collected after 0s"},
		"idle too long": {flows, []string{"--idle", "2h"}, "pairs are remembered for 1h0m0s only"},
		"window":        {flows, []string{"--window", "-1s"}, "--window must not be negative"},
		"format":        {flows, []string{"--format", "sflow"}, `there is no format "sflow"`},
		"no traffic":    {flows[:strings.Index(flows, "\n")+1], nil, "there is no traffic in the files"},
		"bad line":      {strings.Replace(flows, "1048", "x", 1), nil, "flows.csv: line 3: bytes: "},
	} {
		if _, _, err := simulate(t, tc.content, tc.args...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tc.want)
		}
	}
	c := command()
	c.SetArgs([]string{"simulate", "/nonexistent/file"})
	if err := c.Execute(); err == nil || !strings.Contains(err.Error(), "/nonexistent/file") {
		t.Errorf("error %v", err)
	}
}

func TestUnknownFigureIsRefused(t *testing.T) {
	c := command()
	c.SetArgs([]string{"run", "fig12"})
	if err := c.Execute(); err == nil || !strings.Contains(err.Error(), `there is no figure "fig12", there are fig`) {
		t.Errorf("error %v", err)
	}
}

func TestReportOfEarlierResults(t *testing.T) {
	out := t.TempDir()
	report := func() error {
		c := command()
		c.SetArgs([]string{"report", "--out", out})
		return c.Execute()
	}
	if err := report(); err == nil || !strings.Contains(err.Error(), "there are no results") {
		t.Errorf("error %v", err)
	}
	if err := os.MkdirAll(filepath.Join(out, "fig9"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "fig9", "result.json"), []byte(`{"figure":"fig9","title":"Recovery","ok":true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := report(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(out, "report.html"))
	if err != nil || !bytes.Contains(raw, []byte("fig9: Recovery")) {
		t.Errorf("%v: %.200s", err, raw)
	}
}
