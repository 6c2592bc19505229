package dynamodb

import (
	"cmp"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestRowList_Model compares a rowList with a map under random puts and deletes.
func TestRowList_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list rowList
		model := make(map[string]*row)
		var size int64
		keys := rapid.StringMatching(`[a-c]{0,4}`)
		for range rapid.IntRange(0, 4).Draw(t, "groups") { // enough rows to split buckets
			base := keys.Draw(t, "base")
			for i := range rapid.IntRange(0, 2*maxBucket).Draw(t, "crowd") {
				r := &row{key: base + string(rune('a'+i*7919%997)), size: i}
				list.put(r)
				model[r.key] = r
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				r := &row{key: keys.Draw(t, "key"), size: rapid.IntRange(0, 9).Draw(t, "size")}
				list.put(r)
				model[r.key] = r
			},
			"delete": func(t *rapid.T) {
				key := keys.Draw(t, "key")
				if len(model) > 0 && rapid.Bool().Draw(t, "one that is there") {
					key = rapid.SampledFrom(slices.Sorted(maps.Keys(model))).Draw(t, "key")
				}
				list.delete(key)
				delete(model, key)
			},
			"": func(t *rapid.T) {
				size = 0
				for _, r := range model {
					size += int64(r.size)
				}
				if list.count != len(model) || list.size != size {
					t.Fatalf("got %d rows of %d bytes, want %d of %d", list.count, list.size, len(model), size)
				}
				bound := keys.Draw(t, "bound")
				if list.get(bound) != model[bound] {
					t.Fatalf("get(%q): got another row", bound)
				}
				var above, below []string
				for _, key := range slices.Sorted(maps.Keys(model)) {
					if key >= bound {
						above = append(above, key)
					} else {
						below = append(below, key)
					}
				}
				slices.Reverse(below)
				var got []string
				for r := range list.from(bound) {
					got = append(got, r.key)
				}
				if !slices.Equal(got, above) {
					t.Fatalf("from(%q): got %q, want %q", bound, got, above)
				}
				got = nil
				for r := range list.below(bound) {
					got = append(got, r.key)
				}
				if !slices.Equal(got, below) {
					t.Fatalf("below(%q): got %q, want %q", bound, got, below)
				}
			},
			"clone": func(t *rapid.T) {
				changed := list
				list = list.clone()
				changed.put(&row{key: keys.Draw(t, "key"), size: 1})
				changed.delete(keys.Draw(t, "other key"))
			},
		})
	})
}

// number draws the text of a valid number.
func drawNumber(t *rapid.T, label string) string {
	text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?`).Draw(t, label)
	if rapid.Bool().Draw(t, label+" with exponent") {
		text += "e" + rapid.StringMatching(`-?[0-9]{1,2}`).Draw(t, label+" exponent")
	}
	return text
}

func rational(t *rapid.T, text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("%q: got an error, want a number", text)
	}
	return r
}

// TestDecimal_Exact compares decimals with rational numbers.
func TestDecimal_Exact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		textA, textB := drawNumber(t, "a"), drawNumber(t, "b")
		a, err := parseDecimal(textA)
		if err != nil {
			t.Fatal(err)
		}
		b, err := parseDecimal(textB)
		if err != nil {
			t.Fatal(err)
		}
		exactA, exactB := rational(t, textA), rational(t, textB)
		if rational(t, a.String()).Cmp(exactA) != 0 {
			t.Fatalf("String of %s: got %s", textA, a)
		}
		if again := mustDecimal(a.String()); again != a {
			t.Fatalf("%s: got %+v, then %+v", textA, a, again)
		}
		if got, want := compareNumbers(a.String(), b.String()), exactA.Cmp(exactB); got != want {
			t.Fatalf("compare %s and %s: got %d, want %d", a, b, got, want)
		}
		if got, want := strings.Compare(a.sortable(), b.sortable()), exactA.Cmp(exactB); got != want {
			t.Fatalf("order of %s and %s: got %d, want %d", a, b, got, want)
		}
		for _, subtract := range []bool{false, true} {
			want := new(big.Rat).Add(exactA, exactB)
			if subtract {
				want.Sub(exactA, exactB)
			}
			got, err := a.add(b, subtract)
			if err != nil {
				if !strings.Contains(err.Error(), "38 significant digits") {
					t.Fatal(err)
				}
				continue
			}
			if rational(t, got.String()).Cmp(want) != 0 {
				t.Fatalf("%s, %s, subtract %v: got %s, want %s", a, b, subtract, got, want)
			}
		}
	})
}

// TestDecimal_Size checks sizes that dynalite's tests found on AWS, around the bounds of a capacity unit.
func TestDecimal_Size(t *testing.T) {
	for _, test := range []struct {
		number string
		size   int
	}{
		{"0", 1}, {"1", 2}, {"-1", 3}, {"12", 2}, {"123", 3}, {"100", 2}, {"12.3456", 4}, {"1.2", 3}, {"0.01", 2},
		{"1700000000000", 3}, {"1763906400123", 8}, {"12345678901234567890123456789012345678", 20},
	} {
		if got := mustDecimal(test.number).size(); got != test.size {
			t.Errorf("size of %s: got %d, want %d", test.number, got, test.size)
		}
	}
}

func TestItem_Size(t *testing.T) {
	for _, test := range []struct {
		name string
		json string
		size int
	}{
		{"string by its UTF-8 bytes", `{"name":{"S":"äö"}}`, 4 + 4},
		{"binary", `{"b":{"B":"AQID"}}`, 1 + 3},
		{"null and boolean", `{"a":{"NULL":true},"b":{"BOOL":false}}`, 2 + 2},
		{"empty list and map", `{"l":{"L":[]},"m":{"M":{}}}`, 1 + 3 + 1 + 3},
		{"list", `{"l":{"L":[{"S":"ab"},{"N":"12"}]}}`, 1 + 3 + 2*1 + 2 + 2},
		{"map", `{"m":{"M":{"key":{"S":"ab"}}}}`, 1 + 3 + 1 + 3 + 2},
		{"sets", `{"s":{"SS":["a","bc"]},"n":{"NS":["1","2"]},"b":{"BS":["AQ=="]}}`, 1 + 3 + 1 + 4 + 1 + 1},
	} {
		request, err := parseRequest([]byte(`{"Item":` + test.json + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := request.item("Item").size(); got != test.size || request.failure != nil {
			t.Errorf("%s: got %d bytes, want %d (%v)", test.name, got, test.size, request.failure)
		}
	}
}

// TestSegment_Coverage checks the bounds between segments.
func TestSegment_Coverage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Uint64Range(1, maxSegments).Draw(t, "total")
		number := rapid.Uint64Range(0, total-1).Draw(t, "number")
		s := segment{number, total}
		end, bounded := s.end()
		if bounded != (number < total-1) {
			t.Fatalf("segment %v: got bounded %v", s, bounded)
		}
		if !bounded {
			if !s.holds(strings.Repeat("\xff", hashSize) + "and more") {
				t.Fatalf("segment %v: got a bound, want the last rows in it", s)
			}
			return
		}
		next := segment{number + 1, total}
		if cmp.Compare(s.first(), end) >= 0 || next.first() != end {
			t.Fatalf("segment %v: got %x to %x, next from %x", s, s.first(), end, next.first())
		}
		if s.holds(end) || !next.holds(end) || !s.holds(s.first()+"\x00") {
			t.Fatalf("segment %v: got another end than %x", s, end)
		}
	})
}

// TestAppendString_RoundTrip decodes the strings with encoding/json.
func TestAppendString_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`["\\\\\x00-\x1f\x7f\x{2028}\x{1d11e}]*`)).Draw(t, "text")
		written := appendString(nil, text)
		var got string
		if err := json.Unmarshal(written, &got); err != nil {
			t.Fatalf("decode %q: %v", written, err)
		}
		if got != strings.ToValidUTF8(text, "\ufffd") {
			t.Fatalf("%q: got %s, decoded %q", text, written, got)
		}
	})
}

// TestTTL_ConcurrentWrite writes a row between the finding and the deletion of expired rows.
func TestTTL_ConcurrentWrite(t *testing.T) {
	table := &table{ttl: "e"}
	found, renewed := &row{key: "a"}, &row{key: "a"}
	table.rows.put(found)
	table.rows.put(&row{key: "b"})
	table.rows.put(renewed)
	table.deleteExpired([]*row{found, table.rows.get("b")}, "e")
	if table.rows.get("a") != renewed || table.rows.get("b") != nil {
		t.Error("after the sweep: got other rows than the one written meanwhile")
	}
}

// TestNewRow_SharesText checks that every text is taken from the right part of the JSON.
func TestNewRow_SharesText(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z0-9]{0,8}`))
	rapid.Check(t, func(t *rapid.T) {
		var it item
		for _, name := range rapid.SliceOfNDistinct(text, 1, 6, rapid.ID).Draw(t, "names") {
			v := stringValue(strings.ToValidUTF8(text.Draw(t, "text"), "?"))
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				v = numberValue(mustDecimal(drawNumber(t, "number")))
			case 1:
				v = listValue(kindList, []value{v})
			case 2:
				v = value{kind: kindBinary, text: v.text}
			}
			it = it.with(name, v)
		}
		r := newRow("place", it)
		if !r.item.equal(it) {
			t.Fatalf("row of %s: got %s", it.appendJSON(nil), r.item.appendJSON(nil))
		}
		if r.json != string(it.appendJSON(nil)) {
			t.Fatalf("JSON of the row: got %s, want %s", r.json, it.appendJSON(nil))
		}
	})
}
