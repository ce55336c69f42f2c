package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// checkPrometheus reads a config and the rules beside it. Found: the config's jobs, and the alerts by name.
func checkPrometheus(files []string) (any, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	loaded, err := config.LoadFile(files[0], false, log)
	if err != nil {
		return nil, err
	}
	jobs, alerts := []string{}, []string{}
	for _, job := range loaded.ScrapeConfigs {
		jobs = append(jobs, job.JobName)
	}
	for _, file := range files[1:] {
		groups, problems := rulefmt.ParseFile(file, false, model.UTF8Validation, parser.NewParser(parser.Options{}), log)
		if len(problems) > 0 {
			return nil, fmt.Errorf("%s: %w", file, errors.Join(problems...))
		}
		for _, group := range groups.Groups {
			for _, rule := range group.Rules {
				alerts = append(alerts, rule.Alert)
			}
		}
	}
	return map[string]any{"jobs": jobs, "rule_files": loaded.RuleFiles, "alerts": alerts}, nil
}
