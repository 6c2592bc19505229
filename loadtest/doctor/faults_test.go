package doctor

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/gobwas/ws/wsutil"
)

// The wrong client receives a second copy whether it is behind the right client or ahead of it.
func TestMisdeliver_Order(t *testing.T) {
	for name, order := range map[string][2]int{"wrong client behind": {0, 1}, "wrong client ahead": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			r := &relay{}
			var ends [2]net.Conn
			for i := range ends {
				down, end := net.Pipe()
				ends[i] = end
				r.clients = append(r.clients, &peer{number: i, relay: r, down: down})
			}
			got := [2]chan []string{readTexts(ends[0]), readTexts(ends[1])}
			f := &misdeliver{target: target{peer: 0, nth: 1}, to: 1}
			for _, i := range order {
				for n := range 3 {
					if err := f.payload(r.clients[i], n, fmt.Append(nil, n)); err != nil {
						t.Fatal(err)
					}
				}
			}
			for i, want := range [][]string{{"0", "2"}, {"0", "1", "2"}} {
				r.clients[i].down.Close()
				texts := <-got[i]
				if i == 1 {
					if again := slices.Index(texts, "1"); again < 0 || !slices.Contains(texts[again+1:], "1") {
						t.Errorf("wrong client: got %q, want a second copy of 1", texts)
					}
					slices.Sort(texts)
					texts = slices.Compact(texts)
				}
				if !slices.Equal(texts, want) {
					t.Errorf("client %d: got %q, want %q", i, texts, want)
				}
			}
		})
	}
}

// readTexts returns the channel of all texts that arrive until the connection closes.
func readTexts(conn net.Conn) chan []string {
	done := make(chan []string, 1)
	go func() {
		var texts []string
		for {
			text, err := wsutil.ReadServerText(conn)
			if err != nil {
				done <- texts
				return
			}
			texts = append(texts, string(text))
		}
	}()
	return done
}
