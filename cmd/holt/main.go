// Command holt is a coordination server that speaks ZooKeeper's protocol.
package main

func main() {}
