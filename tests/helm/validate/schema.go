package main

import (
	"fmt"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// schema is what an API server holds of a CRD's version v1.
type schema struct {
	structural *structural.Structural
	validator  validation.SchemaValidator
}

// readSchemas returns the schemas by kind.
func readSchemas(paths []string) (map[string]schema, error) {
	schemas := map[string]schema{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &crd); err != nil {
			return nil, err
		}
		for _, version := range crd.Spec.Versions {
			if version.Name != "v1" {
				continue
			}
			if schemas[crd.Spec.Names.Kind], err = makeSchema(version.Schema.OpenAPIV3Schema); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return schemas, nil
}

func makeSchema(properties *apiextensionsv1.JSONSchemaProps) (schema, error) {
	var internal apiextensions.JSONSchemaProps
	err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(properties, &internal, nil)
	if err != nil {
		return schema{}, err
	}
	form, err := structural.NewStructural(&internal)
	if err != nil {
		return schema{}, err
	}
	validator, _, err := validation.NewSchemaValidator(&internal)
	return schema{form, validator}, err
}

// problems: what the API server would refuse, and the fields that it would drop without a word.
func (s schema) problems(object map[string]any) []string {
	var problems []string
	for _, err := range validation.ValidateCustomResource(field.NewPath(""), object, s.validator) {
		problems = append(problems, err.Error())
	}
	copied := runtime.DeepCopyJSON(object)
	options := structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(copied, s.structural, true, options) {
		problems = append(problems, fmt.Sprintf("unknown field %q", path))
	}
	return problems
}
