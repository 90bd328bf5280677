// Package recoveryrpc is the gRPC service through which a recovery is started,
// watched, resumed and cancelled, together with the permissions its methods
// need and the form of its errors.
//
// The service is described in recovery.proto; `make proto` generates the Go
// code, the REST gateway (routes in recovery.yaml) and the swagger file from
// it. Names of states, events, kinds, reasons and verdicts travel as the
// strings of the packages states and backup: a newer daemon may send one that
// an older client does not know, and such a client shows it as it is.
//
// Every method can be called with a macaroon that upstream's loopd made: the
// permissions reuse upstream's own entities and actions.
package recoveryrpc
