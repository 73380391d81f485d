package main

import (
	"context"
	"errors"
	"fmt"
	"time"
	_ "unsafe" // for go:linkname

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	autoscalingclient "k8s.io/client-go/kubernetes/typed/autoscaling/v2"
	v1core "k8s.io/client-go/kubernetes/typed/core/v1"
	scaleclient "k8s.io/client-go/scale"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
)

const (
	namespace = "default"
	app       = "app"
)

// target is what is scaled, and the controller that scales it. It is also every client that the
// controller needs: nothing leaves this process.
type target struct {
	controller *podautoscaler.HorizontalController
	calculator *podautoscaler.ReplicaCalculator
	scale      autoscalingv1.Scale
	pods       cache.Indexer
	readings   map[string]reading
	present    time.Time
	now        time.Time
	memory     memory
	names      []string
	statuses   statusRecorder
}

//go:linkname reconcileAutoscaler k8s.io/kubernetes/pkg/controller/podautoscaler.(*HorizontalController).reconcileAutoscaler
func reconcileAutoscaler(*podautoscaler.HorizontalController, context.Context, *autoscalingv2.HorizontalPodAutoscaler, string) error

//go:linkname tolerancesForHpa k8s.io/kubernetes/pkg/controller/podautoscaler.(*HorizontalController).tolerancesForHpa
func tolerancesForHpa(*podautoscaler.HorizontalController, *autoscalingv2.HorizontalPodAutoscaler) podautoscaler.Tolerances

func newTarget(c *testCase) *target {
	seconds := func(count int64) time.Duration { return time.Duration(count) * time.Second }
	initialization := seconds(c.Settings.CPUInitializationSeconds)
	readiness := seconds(c.Settings.InitialReadinessSeconds)
	factory := informers.NewSharedInformerFactory(nil, 0)
	pods := factory.Core().V1().Pods()
	apps := schema.GroupVersion{Group: "apps", Version: "v1"}
	mapper := apimeta.NewDefaultRESTMapper([]schema.GroupVersion{apps})
	mapper.Add(apps.WithKind("Deployment"), apimeta.RESTScopeNamespace)
	t := &target{pods: pods.Informer().GetIndexer()}
	for _, metric := range c.Spec.Metrics {
		t.names = append(t.names, name(&metric))
	}
	t.controller = podautoscaler.NewHorizontalController(context.Background(), t, t, t, mapper, t,
		factory.Autoscaling().V2().HorizontalPodAutoscalers(), pods, 0, seconds(c.Settings.DownscaleSeconds),
		c.Settings.Tolerance, initialization, readiness)
	t.calculator = podautoscaler.NewReplicaCalculator(t, pods.Lister(), initialization, readiness)
	t.scale.Name, t.scale.Namespace = app, namespace
	t.scale.Spec.Replicas = c.Replicas
	t.scale.Status.Selector = "app=" + app
	return t
}

// show makes an evaluation's pods and readings what the clients find, moved to the present.
func (t *target) show(given *evaluation, present time.Time) {
	t.now, t.present = given.Now, present
	t.scale.Status.Replicas = given.Running
	var pods []any
	for i := range given.Pods {
		pod := given.Pods[i].DeepCopy()
		pod.Namespace, pod.Labels = namespace, map[string]string{"app": app}
		if pod.Status.StartTime != nil {
			started := t.move(pod.Status.StartTime.Time)
			pod.Status.StartTime = &metav1.Time{Time: started}
		}
		for i := range pod.Status.Conditions {
			since := &pod.Status.Conditions[i].LastTransitionTime
			since.Time = t.move(since.Time)
		}
		pods = append(pods, pod)
	}
	if err := t.pods.Replace(pods, ""); err != nil {
		fail(err)
	}
	t.readings = map[string]reading{}
	for i, reading := range given.Readings {
		t.readings[t.names[i]] = reading
	}
}

func (t *target) move(at time.Time) time.Time { return t.present.Add(at.Sub(t.now)) }

// reconcile lets the controller evaluate; the conditions that it set, with their reasons.
func (t *target) reconcile(hpa *autoscalingv2.HorizontalPodAutoscaler) map[string]string {
	given := hpa.DeepCopy()
	t.statuses.status = autoscalingv2.HorizontalPodAutoscalerStatus{}
	// Its error says again what the conditions say.
	_ = reconcileAutoscaler(t.controller, context.Background(), given, key)
	conditions := map[string]string{}
	for _, one := range t.statuses.status.Conditions {
		conditions[string(one.Type)] = fmt.Sprintf("%s %s", one.Status, one.Reason)
	}
	return conditions
}

// propose asks the calculator for one metric alone.
func (t *target) propose(hpa *autoscalingv2.HorizontalPodAutoscaler, metric *autoscalingv2.MetricSpec) proposal {
	var (
		ctx       = context.Background()
		calc      = t.calculator
		current   = t.scale.Spec.Replicas
		running   = t.scale.Status.Replicas
		tolerance = tolerancesForHpa(t.controller, hpa)
		selector  = labels.SelectorFromSet(labels.Set{"app": app})
		result    proposal
		err       error
	)
	resource := func(resource v1.ResourceName, container string, target *autoscalingv2.MetricTarget) {
		if target.AverageValue != nil {
			result.Replicas, result.Milli, _, err = calc.GetRawResourceReplicas(ctx, current,
				target.AverageValue.MilliValue(), resource, tolerance, namespace, selector, container)
			return
		}
		var utilization int32
		result.Replicas, utilization, result.Milli, _, err = calc.GetResourceReplicas(ctx, current,
			*target.AverageUtilization, resource, tolerance, namespace, selector, container)
		result.Utilization = &utilization
	}
	switch metric.Type {
	case autoscalingv2.ResourceMetricSourceType:
		resource(metric.Resource.Name, "", &metric.Resource.Target)
	case autoscalingv2.ContainerResourceMetricSourceType:
		resource(metric.ContainerResource.Name, metric.ContainerResource.Container, &metric.ContainerResource.Target)
	case autoscalingv2.PodsMetricSourceType:
		result.Replicas, result.Milli, _, err = calc.GetMetricReplicas(current,
			metric.Pods.Target.AverageValue.MilliValue(), name(metric), tolerance, namespace, selector, nil)
	case autoscalingv2.ObjectMetricSourceType:
		object := &metric.Object.DescribedObject
		if value := metric.Object.Target.Value; value != nil {
			result.Replicas, result.Milli, _, err = calc.GetObjectMetricReplicas(current, value.MilliValue(),
				name(metric), tolerance, namespace, object, selector, nil)
		} else {
			result.Replicas, result.Milli, _, err = calc.GetObjectPerPodMetricReplicas(running,
				metric.Object.Target.AverageValue.MilliValue(), name(metric), tolerance, namespace, object, nil)
		}
	case autoscalingv2.ExternalMetricSourceType:
		if value := metric.External.Target.Value; value != nil {
			result.Replicas, result.Milli, _, err = calc.GetExternalMetricReplicas(current, value.MilliValue(),
				name(metric), tolerance, namespace, nil, selector)
		} else {
			result.Replicas, result.Milli, _, err = calc.GetExternalPerPodMetricReplicas(running,
				metric.External.Target.AverageValue.MilliValue(), name(metric), tolerance, namespace, nil)
		}
	}
	if err != nil {
		return proposal{Error: err.Error()}
	}
	return result
}

// name is what the metrics client is asked for; it tells the metrics of a case apart.
func name(metric *autoscalingv2.MetricSpec) string {
	switch metric.Type {
	case autoscalingv2.ResourceMetricSourceType:
		return string(metric.Resource.Name) + "/"
	case autoscalingv2.ContainerResourceMetricSourceType:
		return string(metric.ContainerResource.Name) + "/" + metric.ContainerResource.Container
	case autoscalingv2.PodsMetricSourceType:
		return metric.Pods.Metric.Name
	case autoscalingv2.ObjectMetricSourceType:
		return metric.Object.Metric.Name
	default:
		return metric.External.Metric.Name
	}
}

// What follows are the clients.

var errNoReading = errors.New("it cannot be read")

func (t *target) ofPods(name string) (metrics.PodMetricsInfo, time.Time, error) {
	found := t.readings[name].Pods
	if found == nil {
		return nil, time.Time{}, errNoReading
	}
	// The calculator takes out what does not count, so it gets a map of its own.
	info := metrics.PodMetricsInfo{}
	for pod, sample := range found {
		info[pod] = metrics.PodMetric{
			Timestamp: t.move(sample.Timestamp),
			Window:    time.Duration(sample.Window) * time.Second,
			Value:     sample.Milli,
		}
	}
	return info, t.present, nil
}

func (t *target) value(name string) (int64, error) {
	if value := t.readings[name].Value; value != nil {
		return *value, nil
	}
	return 0, errNoReading
}

func (t *target) GetResourceMetric(_ context.Context, resource v1.ResourceName, _ string, _ labels.Selector, container string) (metrics.PodMetricsInfo, time.Time, error) {
	return t.ofPods(string(resource) + "/" + container)
}

func (t *target) GetRawMetric(name, _ string, _, _ labels.Selector) (metrics.PodMetricsInfo, time.Time, error) {
	return t.ofPods(name)
}

func (t *target) GetObjectMetric(name, _ string, _ *autoscalingv2.CrossVersionObjectReference, _ labels.Selector) (int64, time.Time, error) {
	value, err := t.value(name)
	return value, t.present, err
}

func (t *target) GetExternalMetric(name, _ string, _ labels.Selector) ([]int64, time.Time, error) {
	value, err := t.value(name)
	return []int64{value}, t.present, err
}

// scales serves the target's scale.
type scales struct {
	scaleclient.ScaleInterface
	target *target
}

func (t *target) Scales(string) scaleclient.ScaleInterface { return scales{target: t} }

func (s scales) Get(context.Context, schema.GroupResource, string, metav1.GetOptions) (*autoscalingv1.Scale, error) {
	return s.target.scale.DeepCopy(), nil
}

func (s scales) Update(_ context.Context, _ schema.GroupResource, scale *autoscalingv1.Scale, _ metav1.UpdateOptions) (*autoscalingv1.Scale, error) {
	s.target.scale = *scale.DeepCopy()
	return scale, nil
}

// statusRecorder takes the status that the controller writes.
type statusRecorder struct {
	autoscalingclient.HorizontalPodAutoscalerInterface
	status autoscalingv2.HorizontalPodAutoscalerStatus
}

func (s *statusRecorder) UpdateStatus(_ context.Context, hpa *autoscalingv2.HorizontalPodAutoscaler, _ metav1.UpdateOptions) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	s.status = hpa.Status
	return hpa, nil
}

func (t *target) HorizontalPodAutoscalers(string) autoscalingclient.HorizontalPodAutoscalerInterface {
	return &t.statuses
}

// events drops the controller's Events.
type events struct{ v1core.EventInterface }

func (t *target) Events(string) v1core.EventInterface { return events{} }

func (events) CreateWithEventNamespace(event *v1.Event) (*v1.Event, error) { return event, nil }
func (events) UpdateWithEventNamespace(event *v1.Event) (*v1.Event, error) { return event, nil }
func (events) PatchWithEventNamespace(event *v1.Event, _ []byte) (*v1.Event, error) {
	return event, nil
}
