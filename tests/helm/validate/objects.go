package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	"github.com/ray-project/kuberay/ray-operator/controllers/ray/utils"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// document is one object of the stream: its text, and the same as a tree.
type document struct {
	text   []byte
	object unstructured.Unstructured
}

var decoder = strictDecoder()

// strictDecoder knows the kinds that the chart may render and no others. Unknown and duplicate fields are errors.
func strictDecoder() runtime.Decoder {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		batchv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme, rayv1.AddToScheme, monitoringv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}

func read(in io.Reader) ([]document, error) {
	var documents []document
	reader := utilyaml.NewYAMLReader(bufio.NewReader(in))
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, err
		}
		tree := map[string]any{}
		if err := yaml.UnmarshalStrict(text, &tree); err != nil {
			return nil, err
		}
		if len(tree) > 0 {
			documents = append(documents, document{text, unstructured.Unstructured{Object: tree}})
		}
	}
}

func (d document) name() string {
	return fmt.Sprintf("%s/%s", d.object.GetKind(), d.object.GetName())
}

func (d document) problems(schemas map[string]schema) []string {
	decoded, _, err := decoder.Decode(d.text, nil, nil)
	if err != nil {
		return []string{err.Error()}
	}
	service, isRayService := decoded.(*rayv1.RayService)
	if !isRayService {
		return nil
	}
	found, known := schemas[d.object.GetKind()]
	if !known {
		return []string{"no CRD was given for it"}
	}
	problems := found.problems(d.object.Object)
	for _, err := range []error{
		utils.ValidateRayServiceMetadata(service.ObjectMeta), utils.ValidateRayServiceSpec(service),
	} {
		if err != nil {
			problems = append(problems, err.Error())
		}
	}
	return problems
}
