// SPDX-License-Identifier: MIT

// Package page writes the report of all figures, one file that needs no other.
package page

import (
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"shim6/test/figures/figure"
)

//go:embed report.html
var source string

var report = template.Must(template.New("report").Parse(source))

// A Section is one figure of the report.
type Section struct {
	*figure.Result
	// Image is a PNG in a data URL, empty where the figure has none.
	Image template.URL
}

// Write writes the report of the results whose files are in folders of out.
func Write(path, out string, results []*figure.Result) (err error) {
	var all []Section
	for _, r := range results {
		s := Section{Result: r}
		png, err := os.ReadFile(filepath.Join(out, r.Figure, r.Figure+".png"))
		switch {
		case err == nil:
			s.Image = template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png))
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		all = append(all, s)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	return render(f, all)
}

func render(w io.Writer, all []Section) error {
	if err := report.Execute(w, all); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
