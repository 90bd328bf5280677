package contract

import (
	"context"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcwallet/waddrmgr"
	"github.com/lightninglabs/lndclient"
	"github.com/lightninglabs/loop/staticaddr/address"
	"github.com/lightninglabs/loop/staticaddr/script"
	"github.com/lightninglabs/loop/staticaddr/version"
	"github.com/lightninglabs/loop/swap"
	"github.com/lightninglabs/loop/swapserverrpc"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/looprecovery/looprecovery/staticaddr"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// birth is everything that upstream's address manager calls, in memory. It
// notes the order of the calls; the one named fails fails.
type birth struct {
	lndclient.WalletKitClient
	swapserverrpc.StaticAddressServerClient

	calls  []string
	fails  string
	expiry uint32
	rows   []*script.Parameters
}

// errFails is what the call that fails returns.
var errFails = errors.New("fails")

// note records a call.
func (b *birth) note(call string) error {
	b.calls = append(b.calls, call)
	if call == b.fails {
		return errFails
	}

	return nil
}

// FetchL402 buys the token.
func (b *birth) FetchL402(context.Context) error {
	return b.note("FetchL402")
}

// DeriveNextKey implements lndclient.WalletKitClient.
func (b *birth) DeriveNextKey(_ context.Context, family int32) (
	*keychain.KeyDescriptor, error) {

	if family != swap.StaticAddressKeyFamily {
		return nil, errors.New("another key family")
	}
	_, key := btcec.PrivKeyFromBytes([]byte{1})

	return &keychain.KeyDescriptor{
		KeyLocator: keychain.KeyLocator{
			Family: keychain.KeyFamily(family), Index: 7,
		},
		PubKey: key,
	}, b.note("DeriveNextKey")
}

// ServerNewAddress implements swapserverrpc.StaticAddressServerClient.
func (b *birth) ServerNewAddress(context.Context,
	*swapserverrpc.ServerNewAddressRequest, ...grpc.CallOption) (
	*swapserverrpc.ServerNewAddressResponse, error) {

	_, key := btcec.PrivKeyFromBytes([]byte{2})

	return &swapserverrpc.ServerNewAddressResponse{
		Params: &swapserverrpc.ServerAddressParameters{
			ServerKey: key.SerializeCompressed(), Expiry: b.expiry,
		},
	}, b.note("ServerNewAddress")
}

// CreateStaticAddress implements address.Store.
func (b *birth) CreateStaticAddress(_ context.Context,
	row *script.Parameters) error {

	b.rows = append(b.rows, row)

	return b.note("CreateStaticAddress")
}

// GetAllStaticAddresses implements address.Store.
func (b *birth) GetAllStaticAddresses(context.Context) ([]*script.Parameters,
	error) {

	return b.rows, b.note("GetAllStaticAddresses")
}

// ImportTaprootScript implements lndclient.WalletKitClient.
func (b *birth) ImportTaprootScript(context.Context, *waddrmgr.Tapscript) (
	btcutil.Address, error) {

	return nil, b.note("ImportTaprootScript")
}

// newAddress lets upstream make an address.
func (b *birth) newAddress(t *testing.T) (string, int64, error) {
	t.Helper()

	manager, err := address.NewManager(&address.ManagerConfig{
		AddressClient: b,
		FetchL402:     b.FetchL402,
		Store:         b,
		WalletKit:     b,
		ChainParams:   &chaincfg.RegressionNetParams,
	}, 321)
	require.NoError(t, err)
	addr, expiry, err := manager.NewAddress(t.Context())
	if err != nil {
		return "", 0, err
	}

	return addr.String(), expiry, nil
}

// TestNewAddressOrder holds the order in which an address is made. What follows
// for us: the token is in place before the row, so that a token without a row
// is an ordinary state; a crash between row and import leaves an address that
// nobody watches, which upstream hands out the next time without a look.
func TestNewAddressOrder(t *testing.T) {
	b := &birth{expiry: 1_000}
	first, expiry, err := b.newAddress(t)
	require.NoError(t, err)
	require.EqualValues(t, 1_000, expiry)
	require.Equal(t, []string{
		"GetAllStaticAddresses", "FetchL402", "DeriveNextKey",
		"ServerNewAddress", "CreateStaticAddress",
		"ImportTaprootScript",
	}, b.calls)

	// With a row nothing but the row is asked: no import, no server.
	b.calls = nil
	again, _, err := b.newAddress(t)
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, []string{"GetAllStaticAddresses"}, b.calls)
}

// TestNewAddressInterrupted holds what is left when a step fails: before the
// row nothing but a token and a used key; after it the row, unwatched.
func TestNewAddressInterrupted(t *testing.T) {
	for call, rows := range map[string]int{
		"FetchL402":           0,
		"DeriveNextKey":       0,
		"ServerNewAddress":    0,
		"ImportTaprootScript": 1,
	} {
		b := &birth{expiry: 1_000, fails: call}
		_, _, err := b.newAddress(t)
		require.ErrorIs(t, err, errFails, call)
		require.Equal(t, call, b.calls[len(b.calls)-1])
		require.Len(t, b.rows, rows, call)
	}
}

// TestNewAddressRow holds what a row consists of: a descriptor of ours makes
// the same one, script included.
func TestNewAddressRow(t *testing.T) {
	b := &birth{expiry: 1_000}
	_, _, err := b.newAddress(t)
	require.NoError(t, err)

	row := b.rows[0]
	require.EqualValues(t, 42060, row.KeyLocator.Family)
	require.EqualValues(t, 7, row.KeyLocator.Index)
	require.EqualValues(t, 321, row.InitiationHeight)
	require.Equal(t, version.ProtocolVersion_V0, row.ProtocolVersion)

	descriptor := staticaddr.FromParameters(row)
	require.NoError(t, descriptor.Validate())
	again, err := descriptor.Parameters()
	require.NoError(t, err)
	require.Equal(t, row, again)
}

// TestExpiryLimits holds which timeouts upstream takes from the server.
func TestExpiryLimits(t *testing.T) {
	for expiry, ok := range map[uint32]bool{
		0:                        false,
		1:                        true,
		staticaddr.MaxExpiry:     true,
		staticaddr.MaxExpiry + 1: false,
		1 << 16:                  false,
		1 << 22:                  false,
	} {
		b := &birth{expiry: expiry}
		_, _, err := b.newAddress(t)
		require.Equal(t, ok, err == nil, "%d: %v", expiry, err)
	}
}
