// Package test has the scenarios: what operators do, with real traffic, on a real Open
// vSwitch, on the userspace datapath and on the kernel's.
package test
