// A CGI program in Go, by the standard library's own net/http/cgi: what works here works
// for any http.Handler.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"os"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/fail", fail)
	mux.HandleFunc("/", describe)
	if err := cgi.Serve(mux); err != nil {
		log.Fatal(err)
	}
}

// describe answers with arguments, variables and input, one fact a line.
func describe(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	for number, argument := range os.Args {
		fmt.Fprintf(w, "arg %d %s\n", number, argument)
	}
	for _, variable := range os.Environ() {
		fmt.Fprintln(w, variable)
	}
	fmt.Fprintln(w, "input")
	copyBody(w, r)
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	copyBody(w, r)
}

func fail(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "this handler fails when asked to", http.StatusTeapot)
}

func copyBody(w io.Writer, r *http.Request) {
	if r.Body == nil {
		return
	}
	if _, err := io.Copy(w, r.Body); err != nil {
		log.Print(err)
	}
}
