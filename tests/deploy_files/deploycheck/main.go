// Deploycheck reads the files to deploy with as the programs do that will use them, by those programs' own code.
//
//	deploycheck dockerfile FILE CONTEXT [NAME=VALUE ...]   BuildKit: warnings, the image, what each COPY brings
//	deploycheck compose FILE ...                           Compose: what `docker compose config` gives
//	deploycheck prometheus FILE ...                        Prometheus: a config, and files of rules
//
// What was found goes to stdout as JSON. What is wrong goes to stderr, and the exit code is then 1.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 2 {
		return fmt.Errorf("usage: deploycheck dockerfile|compose|prometheus FILE ...")
	}
	var found any
	var err error
	switch rest := arguments[1:]; arguments[0] {
	case "dockerfile":
		if len(rest) < 2 {
			return fmt.Errorf("usage: deploycheck dockerfile FILE CONTEXT [NAME=VALUE ...]")
		}
		found, err = checkDockerfile(rest[0], rest[1], rest[2:])
	case "compose":
		found, err = checkCompose(rest)
	case "prometheus":
		found, err = checkPrometheus(rest)
	default:
		return fmt.Errorf("%s: no such check", arguments[0])
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}
