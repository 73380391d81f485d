package main

import (
	"reflect"
	"time"
	"unsafe"

	"k8s.io/kubernetes/pkg/controller/podautoscaler"
)

// key is the one that the controller keeps its memory under: there is one autoscaler.
const key = namespace + "/case"

// memory is what HorizontalController remembers of an autoscaler, in a case's own time.
type memory struct {
	recommendations []recommendation
	ups, downs      []change
}

// recommendation has the shape of timestampedRecommendation.
type recommendation struct {
	replicas int32
	at       time.Time
}

// change has the shape of timestampedScaleEvent.
type change struct {
	replicas int32
	at       time.Time
	outdated bool
}

// store gives the controller a memory, moved so that now becomes present.
func store(controller *podautoscaler.HorizontalController, given memory, now, present time.Time) {
	move := func(at time.Time) time.Time { return present.Add(at.Sub(now)) }
	*field[recommendation](controller, "recommendations") = map[string][]recommendation{}
	if given.recommendations != nil {
		(*field[recommendation](controller, "recommendations"))[key] = moved(given.recommendations, move)
	}
	*field[change](controller, "scaleUpEvents") = map[string][]change{key: moved(given.ups, move)}
	*field[change](controller, "scaleDownEvents") = map[string][]change{key: moved(given.downs, move)}
}

// load is the way back. What the controller has added after present was added now.
func load(controller *podautoscaler.HorizontalController, now, present time.Time) memory {
	move := func(at time.Time) time.Time {
		if at.Before(present) {
			return now.Add(at.Sub(present))
		}
		return now
	}
	return memory{
		recommendations: moved((*field[recommendation](controller, "recommendations"))[key], move),
		ups:             moved((*field[change](controller, "scaleUpEvents"))[key], move),
		downs:           moved((*field[change](controller, "scaleDownEvents"))[key], move),
	}
}

func moved[T recommendation | change](given []T, move func(time.Time) time.Time) []T {
	var result []T
	for _, one := range given {
		switch one := any(&one).(type) {
		case *recommendation:
			one.at = move(one.at)
		case *change:
			one.at = move(one.at)
		}
		result = append(result, one)
	}
	return result
}

// field gives a map of the controller that its package keeps to itself.
func field[T any](controller *podautoscaler.HorizontalController, name string) *map[string][]T {
	value := reflect.ValueOf(controller).Elem().FieldByName(name)
	var one T
	if size := value.Type().Elem().Elem().Size(); size != unsafe.Sizeof(one) {
		panic(name + " has another shape in this version of Kubernetes")
	}
	return (*map[string][]T)(value.Addr().UnsafePointer())
}
