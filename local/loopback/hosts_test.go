package loopback_test

import (
	"net/http"
	"testing"

	"fanfare/local/loopback"
)

func TestHosts_Allow(t *testing.T) {
	hosts := loopback.Hosts{Names: []string{"abc.execute-api.us-east-1.amazonaws.com"}}
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:3001": true, "127.9.8.7:80": true, "[::1]:3001": true, "[::1]": true, "::1": true,
		"[::ffff:127.0.0.1]:1": true, "[::ffff:127.9.8.7]": true, "[::ffff:10.0.0.1]": false,
		"localhost": true, "LocalHost:3001": true, "localhost.": true, "a.localhost:1": true,
		"abc.execute-api.us-east-1.amazonaws.com": true, "ABC.execute-api.us-east-1.amazonaws.com:443": true,
		"": false, ":3001": false, "rebound.example": false, "rebound.example:3001": false, "10.0.0.1": false,
		"0.0.0.0:3001": false, "[::]:1": false, "localhost.example": false, "notlocalhost": false,
		"127.0.0.1.example": false, "abd.execute-api.us-east-1.amazonaws.com": false, "128.0.0.1": false,
		"x.abc.execute-api.us-east-1.amazonaws.com": false,
	} {
		if got := hosts.Allow(host); got != want {
			t.Errorf("%q: got %v, want %v", host, got, want)
		}
	}
}

func TestFromPage(t *testing.T) {
	for _, test := range []struct {
		name, value string
		want        bool
	}{
		{"Origin", "http://127.0.0.1:8000", true}, {"Origin", "null", true}, {"Origin", "", true},
		{"Sec-Fetch-Site", "cross-site", true}, {"Sec-Fetch-Site", "same-site", true}, {"Sec-Fetch-Site", "none", false},
		{"User-Agent", "aws-cli", false},
	} {
		r := &http.Request{Header: http.Header{}}
		r.Header.Add(test.name, test.value)
		if got := loopback.FromPage(r); got != test.want {
			t.Errorf("%s %q: got %v, want %v", test.name, test.value, got, test.want)
		}
	}
}
