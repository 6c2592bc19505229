// Package loopback protects and encrypts the services that listen on this machine: it tells requests for this machine
// from those of a rebound DNS name, detects requests of web pages, and creates the certificates of a TLS port.
package loopback

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Hosts decides which Host headers are served. A page whose DNS name was rebound to this machine sends that name, so
// that serving only known names keeps the page out. The zero value serves the names and addresses of loopback:
// localhost, *.localhost, 127.0.0.0/8 and [::1].
type Hosts struct {
	// Names are further names to serve, without a port and in lower case.
	Names []string
}

// Allow reports whether requests with this Host header are served. The port is ignored. An empty header is not served.
func (h Hosts) Allow(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if bare, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(bare, "]")
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return address.IsLoopback()
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(h.Names, host)
}

// FromPage reports whether a web page may have sent the request: it has an Origin, or Fetch Metadata that names another
// site.
// https://www.w3.org/TR/fetch-metadata/
func FromPage(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return len(r.Header.Values("Origin")) > 0 || site == "cross-site" || site == "same-site"
}
