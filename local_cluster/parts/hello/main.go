// Hello answers every request with the pod and the node that it runs on, below the page of its image's other layer.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	greeting, err := os.ReadFile("/usr/share/hello/greeting.txt")
	if err != nil {
		log.Fatal(err)
	}
	server := http.Server{
		Addr:              ":8080",
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(response, "%spod %s on node %s\n", greeting, os.Getenv("POD_NAME"), os.Getenv("NODE_NAME"))
		}),
	}
	log.Printf("listening on %s", server.Addr)
	log.Fatal(server.ListenAndServe())
}
