package sim

// mutation is a bug of another system, put into Holt at one of its seams: the disk, the image, the network between
// members, or what passes between quorum and server. Product code is not touched.
type mutation struct {
	name string
}

func newMutation(_ *world, name string) *mutation {
	if name == "" {
		return nil
	}
	return &mutation{name: name}
}
