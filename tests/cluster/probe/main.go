// Probe is both ends of a test in a pod: `probe serve PORT`, `probe get URL…` and `probe resolve NAME`.
// A server answers with its pod's name. A client prints one line for each URL: the answer, or the error.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

const patience = 2 * time.Second

func main() {
	switch verb, words := os.Args[1], os.Args[2:]; verb {
	case "serve":
		serve(words[0])
	case "get":
		for _, url := range words {
			fmt.Println(get(url))
		}
	case "resolve":
		fmt.Println(resolve(words[0]))
	default:
		log.Fatalf("unknown verb %q", verb)
	}
}

func serve(port string) {
	name, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	answer := http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) { fmt.Fprint(response, name) })
	server := http.Server{Addr: ":" + port, Handler: answer, ReadHeaderTimeout: patience}
	log.Fatal(server.ListenAndServe())
}

func get(url string) string {
	// A new connection each time, so that each one is balanced by itself.
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return "error: " + err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(body)
}

func resolve(name string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return "error: " + err.Error()
	}
	return fmt.Sprint(addresses)
}
