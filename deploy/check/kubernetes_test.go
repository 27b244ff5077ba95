package check_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// cluster is what a kubectl apply would bring.
type cluster struct {
	objects map[string]runtime.Object // "Kind/name"
	pods    map[string]pod            // of workloads
}

type pod struct {
	meta metav1.ObjectMeta
	spec corev1.PodSpec
}

// rendered builds the directory as kubectl kustomize does, and decodes every
// document strictly: a key that Kubernetes does not know is an error.
func rendered(t *testing.T, dir string) cluster {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, policyv1.AddToScheme, networkingv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	c := cluster{objects: map[string]runtime.Object{}, pods: map[string]pod{}}
	for _, resource := range resources.Resources() {
		name := resource.GetKind() + "/" + resource.GetName()
		content, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := decoder.Decode(content, nil, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c.objects[name] = object
		switch o := object.(type) {
		case *appsv1.Deployment:
			c.pods[name] = pod{o.Spec.Template.ObjectMeta, o.Spec.Template.Spec}
			c.mustSelect(t, name, o.Spec.Selector, name)
		case *appsv1.StatefulSet:
			c.pods[name] = pod{o.Spec.Template.ObjectMeta, o.Spec.Template.Spec}
			c.mustSelect(t, name, o.Spec.Selector, name)
		}
	}
	return c
}

// mustSelect: the selector finds exactly the pods of the workloads named.
func (c cluster) mustSelect(t *testing.T, what string, selector *metav1.LabelSelector, want ...string) {
	t.Helper()
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, workload := range slices.Sorted(maps.Keys(c.pods)) {
		if compiled.Matches(labels.Set(c.pods[workload].meta.Labels)) {
			found = append(found, workload)
		}
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("%s selects (-want +got):\n%s", what, diff)
	}
}

const (
	workerPods = "Deployment/rollcall-worker"
	redisPods  = "StatefulSet/rollcall-redis"
)

func example(t *testing.T) cluster {
	t.Helper()
	return rendered(t, filepath.Join(copied(t), "kubernetes", "overlays", "example"))
}

func TestTheBaseAndTheExampleRender(t *testing.T) {
	t.Parallel()
	base := rendered(t, filepath.Join("..", "kubernetes", "base"))
	if _, ok := base.pods[workerPods]; !ok {
		t.Errorf("the base has no %s, only %v", workerPods, slices.Sorted(maps.Keys(base.objects)))
	}
	c := example(t)
	if diff := cmp.Diff([]string{workerPods, redisPods}, slices.Sorted(maps.Keys(c.pods))); diff != "" {
		t.Errorf("workloads of the example (-want +got):\n%s", diff)
	}
}

// Kubernetes' own judgement of the standard that the namespace enforces.
func TestPodsHoldTheRestrictedStandard(t *testing.T) {
	t.Parallel()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	for name, p := range example(t).pods {
		for _, result := range evaluator.EvaluatePod(restricted, &p.meta, &p.spec) {
			if !result.Allowed {
				t.Errorf("%s: %s: %s", name, result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
		if p.spec.AutomountServiceAccountToken == nil || *p.spec.AutomountServiceAccountToken {
			t.Errorf("%s gets a token of the cluster", name)
		}
		for _, container := range p.spec.Containers {
			if s := container.SecurityContext; s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
				t.Errorf("%s: %s may write to its root", name, container.Name)
			}
			if container.Resources.Requests.Memory().IsZero() || container.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s: %s asks for no memory, or has no bound", name, container.Name)
			}
		}
	}
}

// A name that nothing bears leaves a pod waiting without end, and kustomize, which
// gives generated ones a suffix, does not say so.
func TestEverythingThatAPodNamesIsThere(t *testing.T) {
	t.Parallel()
	c := example(t)
	for name, p := range c.pods {
		var named []string
		for _, v := range p.spec.Volumes {
			switch {
			case v.ConfigMap != nil:
				named = append(named, "ConfigMap/"+v.ConfigMap.Name)
			case v.Secret != nil:
				named = append(named, "Secret/"+v.Secret.SecretName)
			case v.Projected != nil:
				for _, source := range v.Projected.Sources {
					named = append(named, "Secret/"+source.Secret.Name)
				}
			}
		}
		if p.spec.ServiceAccountName != "" {
			named = append(named, "ServiceAccount/"+p.spec.ServiceAccountName)
		}
		for _, n := range named {
			if c.objects[n] == nil {
				t.Errorf("%s names %s, which does not exist", name, n)
			}
		}
		if len(named) < 2 {
			t.Errorf("%s names only %v: the search is broken", name, named)
		}
	}
}

func TestSelectorsFindWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	c := example(t)
	selected := 0
	for name, object := range c.objects {
		switch o := object.(type) {
		case *corev1.Service:
			c.mustSelect(t, name, metav1.SetAsLabelSelector(o.Spec.Selector), map[string]string{
				"Service/rollcall-worker": workerPods, "Service/rollcall-redis": redisPods,
			}[name])
			selected++
		case *policyv1.PodDisruptionBudget:
			c.mustSelect(t, name, o.Spec.Selector, workerPods)
			selected++
		case *networkingv1.NetworkPolicy:
			selected++
			switch o.Name {
			case "rollcall-worker":
				c.mustSelect(t, name, &o.Spec.PodSelector, workerPods)
				c.mustSelect(t, name+" lets out to Redis,", o.Spec.Egress[1].To[0].PodSelector, redisPods)
			case "rollcall-redis":
				c.mustSelect(t, name, &o.Spec.PodSelector, redisPods)
				c.mustSelect(t, name+" lets in,", o.Spec.Ingress[0].From[0].PodSelector, workerPods)
			}
		}
	}
	if selected != 5 {
		t.Errorf("%d objects with a selector looked at, want 5", selected)
	}
}

// The worker refuses a secret that others may read.
func TestSecretsAreMountedForTheGroupAlone(t *testing.T) {
	t.Parallel()
	for name, p := range example(t).pods {
		if p.spec.SecurityContext.FSGroup == nil {
			t.Errorf("%s has no fsGroup", name)
		}
		for _, v := range p.spec.Volumes {
			var mode *int32
			switch {
			case v.Secret != nil:
				mode = v.Secret.DefaultMode
			case v.Projected != nil:
				mode = v.Projected.DefaultMode
			default:
				continue
			}
			if mode == nil || os.FileMode(*mode) != 0o440 {
				t.Errorf("%s: volume %s is not mode 0440", name, v.Name)
			}
		}
	}
}
