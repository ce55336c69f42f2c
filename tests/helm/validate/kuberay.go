package main

import (
	"context"
	"fmt"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	"github.com/ray-project/kuberay/ray-operator/controllers/ray/common"
	"github.com/ray-project/kuberay/ray-operator/controllers/ray/utils"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// made is what KubeRay creates for a RayService, by KubeRay's own code.
type made struct {
	Pods     map[string]corev1.Pod      `json:"pods"`     // by group; "head" is the head
	Services map[string]*corev1.Service `json:"services"` // "cluster head", "head" and "serve"
	// By group, why the pod may not run in a namespace that enforces the profile `restricted`.
	Violations map[string]string `json:"violations"`
}

func whatKubeRayMakes(documents []document) (*made, error) {
	for _, document := range documents {
		decoded, _, err := decoder.Decode(document.text, nil, nil)
		if err != nil {
			return nil, err
		}
		if service, ok := decoded.(*rayv1.RayService); ok {
			return makeAll(context.Background(), service)
		}
	}
	return nil, fmt.Errorf("there is no RayService")
}

func makeAll(ctx context.Context, service *rayv1.RayService) (*made, error) {
	service.Namespace = "tests"
	cluster := rayv1.RayCluster{
		ObjectMeta: metav1.ObjectMeta{Name: service.Name + "-abcde", Namespace: "tests", UID: "uid"},
		Spec:       *service.Spec.RayClusterSpec.DeepCopy(),
	}
	services, err := makeServices(ctx, service, cluster)
	if err != nil {
		return nil, err
	}
	pods := map[string]corev1.Pod{"head": makeHead(ctx, *cluster.DeepCopy())}
	for _, group := range cluster.Spec.WorkerGroupSpecs {
		pods[group.GroupName] = makeWorker(ctx, *cluster.DeepCopy(), *group.DeepCopy())
	}
	violations, err := violationsOf(pods)
	return &made{Pods: pods, Services: services, Violations: violations}, err
}

// makeHead and makeWorker are buildHeadPod and buildWorkerPod of raycluster_controller.go, which are not exported.
func makeHead(ctx context.Context, cluster rayv1.RayCluster) corev1.Pod {
	head := cluster.Spec.HeadGroupSpec
	address := utils.GenerateFQDNServiceName(ctx, cluster, cluster.Namespace)
	port := common.GetHeadPort(head.RayStartParams)
	template := common.DefaultHeadPodTemplate(ctx, cluster, head, "head", port)
	return common.BuildPod(ctx, template, rayv1.HeadNode, head.RayStartParams, port,
		utils.IsAutoscalingEnabled(&cluster.Spec), utils.RayServiceCRD, address, nil, cluster.Spec.RayVersion)
}

func makeWorker(ctx context.Context, cluster rayv1.RayCluster, group rayv1.WorkerGroupSpec) corev1.Pod {
	address := utils.GenerateFQDNServiceName(ctx, cluster, cluster.Namespace)
	port := common.GetHeadPort(cluster.Spec.HeadGroupSpec.RayStartParams)
	template := common.DefaultWorkerPodTemplate(ctx, cluster, group, "worker", address, port, "", 0, 0)
	return common.BuildPod(ctx, template, rayv1.WorkerNode, group.RayStartParams, port,
		utils.IsAutoscalingEnabled(&cluster.Spec), utils.RayServiceCRD, address, nil, cluster.Spec.RayVersion)
}

func makeServices(
	ctx context.Context, service *rayv1.RayService, cluster rayv1.RayCluster,
) (map[string]*corev1.Service, error) {
	// As reconcileHeadService of raycluster_controller.go has them.
	labels := map[string]string{}
	if name, ok := cluster.Spec.HeadGroupSpec.Template.Labels[utils.KubernetesApplicationNameLabelKey]; ok {
		labels[utils.KubernetesApplicationNameLabelKey] = name
	}
	clusterHead, err := common.BuildServiceForHeadPod(ctx, cluster, labels, map[string]string{})
	if err != nil {
		return nil, err
	}
	head, err := common.BuildHeadServiceForRayService(ctx, *service, cluster)
	if err != nil {
		return nil, err
	}
	serve, err := common.BuildServeServiceForRayService(ctx, *service, cluster)
	if err != nil {
		return nil, err
	}
	return map[string]*corev1.Service{"cluster head": clusterHead, "head": head, "serve": serve}, nil
}

func violationsOf(pods map[string]corev1.Pod) (map[string]string, error) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return nil, err
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	violations := map[string]string{}
	for group, pod := range pods {
		results := evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec)
		if found := policy.AggregateCheckResults(results); !found.Allowed {
			violations[group] = found.ForbiddenDetail()
		}
	}
	return violations, nil
}
