package loopd

import (
	"fmt"
	"os"
	"reflect"

	"github.com/jessevdk/go-flags"
	upstream "github.com/lightninglabs/loop/loopd"
)

// runUpstreamCommand runs a command of upstream's daemon, such as view, which
// upstream offers only through its own main function. That reads the arguments
// of the process and a configuration file, and knows nothing of our group. So
// the arguments are replaced, in the memory of this process, by all of our
// configuration, and the file by none: a password is written nowhere.
func runUpstreamCommand(cfg *Config, name string) error {
	args, err := upstreamArgs(cfg)
	if err != nil {
		return err
	}
	os.Args = append(append(os.Args[:1:1], args...), name)

	return upstream.Run(upstream.RPCConfig{})
}

// upstreamArgs returns the command line with which upstream's daemon has our
// configuration without the [recovery] group.
func upstreamArgs(cfg *Config) ([]string, error) {
	passed := cfg.Config
	passed.ConfigFile = os.DevNull

	// Upstream's view connects to tapd if there is an address for it, and
	// there always is one by default.
	tapd := *passed.Tapd
	if !tapd.Activate {
		tapd.Host = ""
	}
	passed.Tapd = &tapd

	var args []string
	parser := flags.NewParser(&passed, flags.None)
	err := eachOption(parser.Groups(), func(option *flags.Option) error {
		values, err := optionArgs(option)
		args = append(args, values...)

		return err
	})

	return args, err
}

// eachOption calls a function with each option of groups and their subgroups.
func eachOption(groups []*flags.Group,
	visit func(*flags.Option) error) error {

	for _, group := range groups {
		for _, option := range group.Options() {
			if err := visit(option); err != nil {
				return err
			}
		}
		if err := eachOption(group.Groups(), visit); err != nil {
			return err
		}
	}

	return nil
}

// optionArgs returns the arguments that give an option its value.
func optionArgs(option *flags.Option) ([]string, error) {
	name := "--" + option.LongNameWithNamespace()
	value := reflect.ValueOf(option.Value())

	switch kind := value.Kind(); {
	case kind == reflect.Bool:
		if !value.Bool() {
			return nil, nil
		}

		return []string{name}, nil

	case kind == reflect.Slice:
		var args []string
		for i := range value.Len() {
			args = append(args, fmt.Sprintf("%s=%v", name,
				value.Index(i)))
		}

		return args, nil

	case kind == reflect.String:
		// An option with choices has no empty one.
		if value.Len() == 0 && len(option.Choices) > 0 {
			return nil, nil
		}

		return []string{name + "=" + value.String()}, nil

	case value.CanInt() || value.CanUint() || value.CanFloat():
		return []string{fmt.Sprintf("%s=%v", name, option.Value())}, nil

	default:
		return nil, fmt.Errorf("%s has the unknown type %T", name,
			option.Value())
	}
}
