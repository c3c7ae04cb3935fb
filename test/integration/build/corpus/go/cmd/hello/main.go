// Says which version it is, and for what it was built.
package main

import (
	"fmt"
	"os"
	"runtime"
)

var version = "unknown"

func main() {
	host, _ := os.LookupEnv("GREETED")
	fmt.Printf("hello %s: %s on %s/%s\n", host, version, runtime.GOOS, runtime.GOARCH)
}
