package latency

// NewCoarse returns an empty histogram of two digits: a seventh of the memory, for the many short stretches of a series.
// Coarse histograms merge exactly with each other, not with others.
func NewCoarse() *Histogram { return &Histogram{digits: 2} }
