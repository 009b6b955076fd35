// roadstead-credential-provider HOST...
//
// A kubelet's image credential provider (KEP-4412): what it answers is the token of the pod's own ServiceAccount,
// which the kubelet asked the API server for. It makes no connection, reads no file and keeps nothing.
// Standard input is a CredentialProviderRequest, standard output a CredentialProviderResponse
// (https://kubernetes.io/docs/reference/config-api/kubelet-credentialprovider.v1/). An error is one sentence on
// standard error, never with the token, and no answer: the kubelet logs it, and pulls without credentials.
//
// HOST are the registries that may see the token, as in an image's name: with the port where there is one, and *
// for (a part of) one label, as in the kubelet's `matchImages`.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strings"
)

const (
	version  = "credentialprovider.kubelet.k8s.io/v1"
	username = "serviceaccount" // the registry looks at the password alone
	limit    = 1 << 20          // bytes of a request: a token has about 1,300
)

var (
	host = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$`)
	jwt  = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`) // RFC 7515 §7.1
)

// Fields that a later kubelet adds are left unread: v1 may grow.
type request struct {
	APIVersion          string `json:"apiVersion"`
	Kind                string `json:"kind"`
	Image               string `json:"image"`
	ServiceAccountToken string `json:"serviceAccountToken"`
}

type response struct {
	APIVersion    string                 `json:"apiVersion"`
	Kind          string                 `json:"kind"`
	CacheKeyType  string                 `json:"cacheKeyType"`
	CacheDuration string                 `json:"cacheDuration"`
	Auth          map[string]credentials `json:"auth"`
}

type credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func main() {
	if len(os.Args) < 2 {
		fail(2, errors.New("name the registries' hosts as arguments (`args` in the kubelet's CredentialProviderConfig)"))
	}
	answered, err := answer(os.Stdin, os.Args[1:])
	if err != nil {
		fail(1, err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answered); err != nil {
		fail(1, err)
	}
}

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, "roadstead-credential-provider:", err)
	os.Exit(code)
}

// answer is the token that came in, for the one host that is asked about.
//
// The kubelet is told not to keep it: it has a cache of its own for the tokens of each pod, which knows when they
// end and forgets them with the pod.
func answer(from io.Reader, allowed []string) (*response, error) {
	asked, err := read(from)
	if err != nil {
		return nil, err
	}
	registry, err := registryOf(asked.Image, allowed)
	if err != nil {
		return nil, err
	}
	if asked.ServiceAccountToken == "" {
		return nil, errors.New("serviceAccountToken is missing: set `tokenAttributes` with " +
			"`requireServiceAccount: true` in the kubelet's CredentialProviderConfig (Kubernetes 1.34 or newer)")
	}
	if !jwt.MatchString(asked.ServiceAccountToken) {
		return nil, errors.New("serviceAccountToken is no JWT")
	}
	return &response{
		APIVersion:    version,
		Kind:          "CredentialProviderResponse",
		CacheKeyType:  "Registry",
		CacheDuration: "0s",
		Auth:          map[string]credentials{registry: {username, asked.ServiceAccountToken}},
	}, nil
}

func read(from io.Reader) (*request, error) {
	content, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	if len(content) > limit {
		return nil, fmt.Errorf("standard input has more than %d bytes", limit)
	}
	asked := &request{}
	if err := json.Unmarshal(content, asked); err != nil {
		return nil, errors.New("standard input is no JSON of a CredentialProviderRequest") // err may quote it
	}
	if asked.APIVersion != version {
		return nil, fmt.Errorf("apiVersion is %.80q, not %q: set `apiVersion: %s` for this provider in the "+
			"kubelet's CredentialProviderConfig", asked.APIVersion, version, version)
	}
	if asked.Kind != "CredentialProviderRequest" {
		return nil, fmt.Errorf("kind is %.80q, not \"CredentialProviderRequest\"", asked.Kind)
	}
	return asked, nil
}

// registryOf is the image's host, where one of the patterns allows it.
func registryOf(image string, allowed []string) (string, error) {
	registry, repository, found := strings.Cut(image, "/")
	if !found || repository == "" || !host.MatchString(registry) {
		return "", fmt.Errorf("image %.300q does not begin with a registry's host", image)
	}
	for _, pattern := range allowed {
		if matches(pattern, registry) {
			return registry, nil
		}
	}
	return "", fmt.Errorf("%s is none of the hosts that may see a token (%s): correct `matchImages` or `args` "+
		"in the kubelet's CredentialProviderConfig", registry, strings.Join(allowed, ", "))
}

// matches compares label by label, as the kubelet does: no * goes over a dot, and a port is matched to the letter.
func matches(pattern, registry string) bool {
	wantedName, wantedPort, _ := strings.Cut(pattern, ":")
	name, port, _ := strings.Cut(registry, ":")
	wanted, labels := strings.Split(wantedName, "."), strings.Split(name, ".")
	if wantedPort != port || len(wanted) != len(labels) {
		return false
	}
	for number, label := range labels {
		if same, err := path.Match(wanted[number], label); err != nil || !same {
			return false
		}
	}
	return true
}
