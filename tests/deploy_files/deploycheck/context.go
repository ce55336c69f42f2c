package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// copied: by source of a COPY from the build context, the files under it that .dockerignore lets through.
func copied(stages []instructions.Stage, folder string) (map[string][]string, error) {
	sources := map[string][]string{}
	for _, stage := range stages {
		for _, command := range stage.Commands {
			copying, ok := command.(*instructions.CopyCommand)
			if !ok || copying.From != "" {
				continue
			}
			for _, source := range copying.SourcePaths {
				files, err := let(folder, source)
				if err != nil {
					return nil, err
				}
				if len(files) == 0 {
					return nil, fmt.Errorf("COPY %s: nothing of it is in the build context", source)
				}
				sources[source] = files
			}
		}
	}
	return sources, nil
}

func let(folder, source string) ([]string, error) {
	ignore, err := os.Open(filepath.Join(folder, ".dockerignore"))
	if err != nil {
		return nil, err
	}
	defer ignore.Close()
	patterns, err := ignorefile.ReadAll(ignore)
	if err != nil {
		return nil, err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	files := []string{}
	err = filepath.WalkDir(filepath.Join(folder, source), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == ".git" || name == ".venv" || name == ".kafka") {
			return checkIgnored(matcher, folder, path)
		}
		if entry.IsDir() {
			return nil
		}
		relative, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		ignored, err := matcher.MatchesOrParentMatches(relative)
		if err == nil && !ignored {
			files = append(files, relative)
		}
		return err
	})
	return files, err
}

// checkIgnored spares the walk through folders with many files, once they are known to be left out.
func checkIgnored(matcher *patternmatcher.PatternMatcher, folder, path string) error {
	relative, err := filepath.Rel(folder, path)
	if err != nil {
		return err
	}
	ignored, err := matcher.MatchesOrParentMatches(relative)
	if err == nil && !ignored {
		return fmt.Errorf("%s is not in .dockerignore", relative)
	}
	if err != nil {
		return err
	}
	return filepath.SkipDir
}
