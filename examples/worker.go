// A worker that reports its own figures, with nothing but Go's standard library.
//
//	go run examples/worker.go -url http://127.0.0.1:8082 -interval 15s
//
// A report is sent again until it is acknowledged, under one Idempotency-Key, so it is stored once
// however often that takes. Ends with status 0 when every report was acknowledged.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"time"
)

// Metric is one metric of a report.
type Metric struct {
	Name      string            `json:"metric_name"`
	Type      string            `json:"metric_type"`
	Value     float64           `json:"metric_value"`
	Timestamp int64             `json:"timestamp"` // Unix time in microseconds.
	Labels    map[string]string `json:"labels,omitempty"`
	Help      string            `json:"help_text,omitempty"`
	Unit      string            `json:"unit,omitempty"`
}

// Report is the body of POST /api/metrics/report.
type Report struct {
	ComponentName string   `json:"component_name"`
	ComponentType string   `json:"component_type"`
	Metrics       []Metric `json:"metrics"`
}

const attemptsMax = 10

var client = &http.Client{Timeout: 30 * time.Second}

func figures(started time.Time, tasks int) []Metric {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	now := time.Now()
	at := now.UnixMicro()
	labels := map[string]string{"runtime": runtime.Version()}
	return []Metric{
		{"noetl_uptime_seconds", "gauge", now.Sub(started).Seconds(), at, labels,
			"Time since the process started", "seconds"},
		{"go_memory_heap_bytes", "gauge", float64(memory.HeapAlloc), at, labels,
			"Bytes of allocated heap objects", "bytes"},
		{"tasks_done_total", "counter", float64(tasks), at, labels, "Tasks done", ""},
	}
}

// send sends the report until it is acknowledged, or says why it never will be.
func send(url string, report Report) error {
	body, err := json.Marshal(report)
	if err != nil {
		return err
	}
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	var last error
	for attempt := 0; attempt < attemptsMax; attempt++ {
		request, err := http.NewRequest("POST", url+"/api/metrics/report", bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", hex.EncodeToString(key))
		pause := time.Duration(1<<min(attempt, 5)) * 100 * time.Millisecond
		response, err := client.Do(request)
		if err != nil {
			last = err
		} else {
			answer, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20))
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			last = fmt.Errorf("%s: %s", response.Status, answer)
			if response.StatusCode != 429 && response.StatusCode < 500 {
				return last // Sent again, it would be refused again.
			}
			if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
				pause = time.Duration(seconds) * time.Second
			}
		}
		time.Sleep(pause)
	}
	return last
}

func min(one, other int) int {
	if one < other {
		return one
	}
	return other
}

func main() {
	hostname, _ := os.Hostname()
	url := flag.String("url", "http://127.0.0.1:8082", "the server")
	name := flag.String("name", hostname, "the component's name")
	interval := flag.Duration("interval", time.Minute, "time between reports")
	count := flag.Int("count", 0, "reports to send, 0 for no end")
	flag.Parse()

	started := time.Now()
	failed := false
	for sent := 1; ; sent++ {
		report := Report{*name, "worker_pool", figures(started, sent)}
		if err := send(*url, report); err != nil {
			fmt.Fprintln(os.Stderr, "not reported:", err)
			failed = true
		} else {
			fmt.Printf("reported %d metrics as %s\n", len(report.Metrics), *name)
		}
		if sent == *count {
			break
		}
		time.Sleep(*interval)
	}
	if failed {
		os.Exit(1)
	}
}
