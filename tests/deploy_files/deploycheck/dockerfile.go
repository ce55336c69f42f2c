package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	digest "github.com/opencontainers/go-digest"
)

// What of Ray's image counts here: the path to its Python, and its user.
const baseImage = `{"architecture": "amd64", "os": "linux", "config": {"User": "1000",
	"Env": ["PATH=/home/ray/anaconda3/bin:/usr/local/bin:/usr/bin:/bin", "HOME=/home/ray"]}}`

type base struct{ asked *[]string }

func (b base) ResolveImageConfig(
	_ context.Context, reference string, _ sourceresolver.Opt,
) (string, digest.Digest, []byte, error) {
	*b.asked = append(*b.asked, reference)
	return reference, digest.FromString(baseImage), []byte(baseImage), nil
}

type image struct {
	Bases    []string            `json:"bases"`    // asked for, by their whole names
	Warnings []string            `json:"warnings"` // of BuildKit's linter
	Config   any                 `json:"config"`   // of the image that comes out
	Copied   map[string][]string `json:"copied"`   // by source of a COPY: the files of the context that it brings
	Runs     []string            `json:"runs"`     // what the shell of each RUN gets, without its mounts
}

// checkDockerfile goes the way of `docker build` up to the point where commands would run.
func checkDockerfile(file, folder string, arguments []string) (*image, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	found := &image{Warnings: []string{}}
	source := llb.NewSourceMap(nil, file, "Dockerfile", text)
	source.Definition = &llb.Definition{} // as if it came from a client; the linter asks for it
	options := func() dockerfile2llb.ConvertOpt {
		return dockerfile2llb.ConvertOpt{
			Config:       dockerui.Config{BuildArgs: map[string]string{}},
			SourceMap:    source,
			MetaResolver: base{&found.Bases},
		}
	}
	results, err := dockerfile2llb.DockerfileLint(context.Background(), text, options())
	if err != nil {
		return nil, err
	}
	if results.Error != nil {
		return nil, errors.New(results.Error.Message)
	}
	for _, warning := range results.Warnings {
		found.Warnings = append(found.Warnings, warning.RuleName+": "+warning.Detail)
	}
	wanted := options()
	for _, argument := range arguments {
		name, value, _ := strings.Cut(argument, "=")
		if name == "--target" {
			wanted.Target = value
		} else {
			wanted.BuildArgs[name] = value
		}
	}
	found.Bases = nil
	built, err := dockerfile2llb.Dockerfile2LLB(context.Background(), text, wanted)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	found.Config = built.Image.Config
	stages, err := stages(text)
	if err != nil {
		return nil, err
	}
	found.Runs = runs(stages)
	found.Copied, err = copied(stages, folder)
	return found, err
}

func stages(dockerfile []byte) ([]instructions.Stage, error) {
	tree, err := parser.Parse(bytes.NewReader(dockerfile))
	if err != nil {
		return nil, err
	}
	found, _, err := instructions.Parse(tree.AST, nil)
	return found, err
}

func runs(stages []instructions.Stage) []string {
	found := []string{}
	for _, stage := range stages {
		for _, command := range stage.Commands {
			run, ok := command.(*instructions.RunCommand)
			if !ok {
				continue
			}
			if len(run.Files) > 0 {
				found = append(found, run.Files[0].Data)
			} else {
				found = append(found, strings.Join(run.CmdLine, " "))
			}
		}
	}
	return found
}
