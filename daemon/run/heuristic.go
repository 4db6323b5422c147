// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"shim6/daemon/ctl"
	"shim6/daemon/nl"
)

func (b backend) Heuristics(context.Context) ([]ctl.Heuristic, error) {
	stack, err := b.l.ports.Kernel.Stack()
	if err != nil {
		return nil, err
	}
	settings, err := b.l.ports.Kernel.Settings()
	if err != nil {
		return nil, err
	}
	all := make([]ctl.Heuristic, 0, len(settings.Heuristics))
	for _, h := range stack {
		shown := ctl.Heuristic{
			Name: h.Name, Used: true, Refusals: h.Refusals, Triggers: h.Triggers, Vetoes: h.Vetoes, Params: []ctl.HeuristicParam{},
		}
		for _, p := range h.Params {
			shown.Params = append(shown.Params, ctl.HeuristicParam(p))
		}
		all = append(all, shown)
	}
	for _, name := range settings.Heuristics {
		if !slices.ContainsFunc(all, func(h ctl.Heuristic) bool { return h.Name == name }) {
			all = append(all, ctl.Heuristic{Name: name, Used: name == *settings.Heuristic, Params: []ctl.HeuristicParam{}})
		}
	}
	return all, nil
}

func (b backend) ChangeHeuristics(_ context.Context, change ctl.HeuristicChange) error {
	if change.Use != "" {
		if err := b.l.ports.Kernel.SetSettings(nl.Settings{Heuristic: &change.Use}); err != nil {
			return refusedHeuristic(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(change.Params)) {
		heuristic, param, ok := strings.Cut(name, ".")
		if !ok {
			return &ctl.Error{Status: http.StatusBadRequest, Message: fmt.Sprintf("%q is not HEURISTIC.PARAMETER", name)}
		}
		if err := b.l.ports.Kernel.SetParam(heuristic, param, change.Params[name]); err != nil {
			return refusedHeuristic(err)
		}
	}
	return nil
}

// refusedHeuristic tells what the kernel refused from what did not work.
func refusedHeuristic(err error) error {
	var refused *nl.Error
	if !errors.As(err, &refused) {
		return err
	}
	return &ctl.Error{Status: http.StatusBadRequest, Message: err.Error(), Hint: "list them and their parameters: shim6ctl heuristics"}
}
