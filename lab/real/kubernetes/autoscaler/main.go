// Answers what Kubernetes' own horizontal autoscaler does: one case a line on standard input, one
// answer a line on standard output, both JSON. A case is an autoscaler and a number of evaluations
// with their times, pods and metrics; the replicas that one evaluation leaves are those of the next.
//
// The code that answers is unchanged: ReplicaCalculator and HorizontalController of the module that
// go.mod names. Both read the machine's clock, so everything of a case is moved to the present, and
// the controller's memory with it (see memory.go).
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/klog/v2"
	defaults "k8s.io/kubernetes/pkg/apis/autoscaling/v2"
	"k8s.io/kubernetes/pkg/features"
)

// slow is how long an evaluation may take. The times of a case keep away from every limit by more
// than this, so the machine's clock cannot decide; what took longer is done again.
const slow = 40 * time.Millisecond

type testCase struct {
	Spec        autoscalingv2.HorizontalPodAutoscalerSpec `json:"spec"`
	Settings    settings                                  `json:"settings"`
	Replicas    int32                                     `json:"replicas"`
	Evaluations []evaluation                              `json:"evaluations"`
}

type settings struct {
	Tolerance                float64 `json:"tolerance"`
	DownscaleSeconds         int64   `json:"downscaleSeconds"`
	CPUInitializationSeconds int64   `json:"cpuInitializationSeconds"`
	InitialReadinessSeconds  int64   `json:"initialReadinessSeconds"`
}

type evaluation struct {
	Now time.Time `json:"now"`
	// Running is what the target's status says.
	Running int32    `json:"running"`
	Pods    []v1.Pod `json:"pods"`
	// Readings of the metrics, in the order of the spec.
	Readings []reading `json:"readings"`
}

// reading is one of its fields; none of them means that the metric cannot be read.
type reading struct {
	Pods  map[string]sample `json:"pods,omitempty"`
	Value *int64            `json:"value,omitempty"`
}

type sample struct {
	Milli     int64     `json:"milli"`
	Timestamp time.Time `json:"timestamp"`
	Window    int64     `json:"window"`
}

type answer struct {
	Evaluations []outcome `json:"evaluations"`
}

type outcome struct {
	Replicas   int32             `json:"replicas"`
	Proposals  []proposal        `json:"proposals"`
	Conditions map[string]string `json:"conditions"`
}

type proposal struct {
	Replicas    int32  `json:"replicas"`
	Milli       int64  `json:"milli"`
	Utilization *int32 `json:"utilization,omitempty"`
	Error       string `json:"error,omitempty"`
}

func main() {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	for _, gate := range []string{string(features.HPAConfigurableTolerance), string(features.HPAScaleToZero)} {
		if err := utilfeature.DefaultMutableFeatureGate.Set(gate + "=true"); err != nil {
			fail(err)
		}
	}
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<26)
	output := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(output)
	for number := 0; input.Scan(); number++ {
		var given testCase
		if err := json.Unmarshal(input.Bytes(), &given); err != nil {
			fail(fmt.Errorf("case %d: %w", number, err))
		}
		if err := encoder.Encode(given.answer()); err != nil {
			fail(err)
		}
	}
	if err := input.Err(); err != nil {
		fail(err)
	}
	if err := output.Flush(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func (c *testCase) answer() answer {
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "case"},
		Spec:       c.Spec,
	}
	defaults.SetDefaults_HorizontalPodAutoscaler(hpa)
	target := newTarget(c)
	var outcomes []outcome
	for i := range c.Evaluations {
		outcomes = append(outcomes, target.evaluate(hpa, &c.Evaluations[i]))
	}
	return answer{outcomes}
}

// evaluate does one evaluation, again if the machine was busy with something else.
func (t *target) evaluate(hpa *autoscalingv2.HorizontalPodAutoscaler, given *evaluation) outcome {
	for {
		replicas, memory := t.scale.Spec.Replicas, t.memory
		start := time.Now()
		t.show(given, start)
		var result outcome
		for i := range hpa.Spec.Metrics {
			result.Proposals = append(result.Proposals, t.propose(hpa, &hpa.Spec.Metrics[i]))
		}
		store(t.controller, memory, given.Now, start)
		result.Conditions = t.reconcile(hpa)
		if time.Since(start) < slow {
			t.memory = load(t.controller, given.Now, start)
			result.Replicas = t.scale.Spec.Replicas
			return result
		}
		t.scale.Spec.Replicas = replicas
	}
}
