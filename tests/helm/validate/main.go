// Command validate judges rendered manifests by the types and rules of those who will read them.
//
//	validate objects CRD.yaml... < manifests.yaml   every object, strictly; one problem a line, exit status 1
//	validate pods < manifests.yaml                  what KubeRay makes of the RayService, as JSON
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: validate objects CRD.yaml... | validate pods")
	}
	documents, err := read(in)
	if err != nil {
		return err
	}
	switch args[0] {
	case "objects":
		schemas, err := readSchemas(args[1:])
		if err != nil {
			return err
		}
		problems := 0
		for _, document := range documents {
			for _, problem := range document.problems(schemas) {
				fmt.Fprintf(out, "%s: %s\n", document.name(), problem)
				problems++
			}
		}
		if problems > 0 {
			return fmt.Errorf("%d problems", problems)
		}
		return nil
	case "pods":
		made, err := whatKubeRayMakes(documents)
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(made)
	}
	return fmt.Errorf("unknown command %q", args[0])
}
