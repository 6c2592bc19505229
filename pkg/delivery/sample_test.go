package delivery

import "testing"

// The sample keeps the ratio of the last hundred posts, so that a change shows within one or two batches.
func TestSample_Decay(t *testing.T) {
	type posts struct{ delivered, throttled int }
	for _, test := range []struct {
		name        string
		posts       []posts
		most, known bool
	}{
		{"no posts", nil, true, false},
		{"no posts in a batch", []posts{{0, 0}}, true, false},
		{"one delivered", []posts{{1, 0}}, true, true},
		{"one throttled", []posts{{0, 1}}, false, true},
		{"half", []posts{{1, 1}}, true, true},
		{"a hundred are kept as they are", []posts{{100, 0}, {0, 100}}, true, true},
		{"a thousand count as a hundred", []posts{{1000, 0}, {0, 100}}, true, true},
		{"a thousand count as a hundred, and one more", []posts{{1000, 0}, {0, 101}}, false, true},
		{"the ratio is kept", []posts{{800, 200}, {0, 59}}, true, true},
		{"the ratio is kept, and more", []posts{{800, 200}, {0, 61}}, false, true},
		{"the ratio of the throttled is kept", []posts{{200, 800}, {59, 0}}, false, true},
		{"the ratio of the throttled is kept, and more", []posts{{200, 800}, {61, 0}}, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s sample
			for _, p := range test.posts {
				s.add(p.delivered, p.throttled)
			}
			if most, known := s.mostDelivered(); most != test.most || known != test.known {
				t.Errorf("got %v, %v, want %v, %v", most, known, test.most, test.known)
			}
		})
	}
}
