package iam

import "strings"

// Match tells whether text matches a pattern in which * stands for any characters and ? for any one of them.
func Match(pattern, text string) bool {
	return match(pattern, text, func(int) bool { return true })
}

// MatchARN tells whether an ARN matches a pattern as the Resource element does: a * at the end of one of the pattern's
// colon-separated segments may reach over further colons, any other wildcard stays within its segment, and an
// incomplete ARN is completed with wildcards.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
func MatchARN(pattern, arn string) bool {
	if pattern == "*" {
		return true
	}
	if missing := arnSegments - 1 - strings.Count(pattern, ":"); missing > 0 {
		pattern += strings.Repeat(":*", missing)
	}
	return match(pattern, arn, func(i int) bool {
		return pattern[i] == '*' && (i+1 == len(pattern) || pattern[i+1] == ':')
	})
}

// MatchSegments tells whether an ARN matches a pattern as the condition operator ArnLike does: each of the six
// segments on its own, so that no wildcard reaches over the first five colons.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_ARN
func MatchSegments(pattern, arn string) bool {
	patterns := strings.SplitN(pattern, ":", arnSegments)
	texts := strings.SplitN(arn, ":", arnSegments)
	if len(patterns) != arnSegments || len(texts) != arnSegments {
		return pattern == "*"
	}
	for i := range patterns {
		if !Match(patterns[i], texts[i]) {
			return false
		}
	}
	return true
}

// arnSegments is the number of colon-separated parts of an ARN, the last of which may itself hold colons.
const arnSegments = 6

// match follows every position of the pattern that the text read so far can have reached, so its time is bounded by
// the product of both lengths. colon says whether the wildcard at an index may stand for a colon.
func match(pattern, text string, colon func(int) bool) bool {
	first := strings.IndexAny(pattern, "*?")
	if first < 0 {
		return pattern == text
	}
	if len(text) < first || pattern[:first] != text[:first] {
		return false
	}
	if pattern[first:] == "*" && colon(first) {
		return true
	}
	var buffer [2][256]bool
	reached, next := buffer[0][:], buffer[1][:]
	if len(pattern) >= len(reached) {
		reached, next = make([]bool, len(pattern)+1), make([]bool, len(pattern)+1)
	}
	reach(reached, pattern, first)
	for t := first; t < len(text); t++ {
		clear(next[:len(pattern)+1])
		for p := first; p < len(pattern); p++ {
			if !reached[p] {
				continue
			}
			switch wildcard := pattern[p] == '*' || pattern[p] == '?'; {
			case wildcard && text[t] == ':' && !colon(p):
			case pattern[p] == '*':
				reach(next, pattern, p)
			case wildcard || pattern[p] == text[t]:
				reach(next, pattern, p+1)
			}
		}
		reached, next = next, reached
	}
	return reached[len(pattern)]
}

// reach marks a position of the pattern, together with those behind the stars that stand there, for a star may stand
// for nothing.
func reach(positions []bool, pattern string, p int) {
	positions[p] = true
	for ; p < len(pattern) && pattern[p] == '*'; p++ {
		positions[p+1] = true
	}
}
