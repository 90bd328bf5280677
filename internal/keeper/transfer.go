package keeper

import (
	"context"

	"github.com/looprecovery/looprecovery/backup"
)

// Receive stores the bytes of a file that a client sent in the data directory,
// durably, and returns where.
func (k *Keeper) Receive(ctx context.Context, data []byte) (string, error) {
	home := k.home()

	return perform(ctx, home, func(context.Context) (string, error) {
		return home.store.Receive(data)
	})
}

// Export returns a backup, which must have the verdict OK, as a file of the
// wanted format. Nothing is written. See backup.Store.Export.
func (k *Keeper) Export(ctx context.Context, entry backup.Entry,
	format backup.Format) (string, []byte, error) {

	keys, err := k.keys(ctx)
	if err != nil {
		return "", nil, err
	}
	type file struct {
		name string
		data []byte
	}
	p := k.placeOf(entry.Path)
	exported, err := perform(ctx, p, func(context.Context) (file, error) {
		name, data, err := p.store.Export(entry, format, keys)

		return file{name, data}, err
	})

	return exported.name, exported.data, err
}

// Import publishes a backup that comes from elsewhere in every place, and
// reports how it went in each. A valid backup that contradicts it, in any place
// that answers, makes it be refused with a *backup.ConflictError. A file of the
// older format becomes a new file of the same contents.
func (k *Keeper) Import(ctx context.Context, data []byte,
	content *backup.Content) (backup.Report, error) {

	keys, err := k.keys(ctx)
	if err != nil {
		return backup.Report{}, err
	}
	for _, err := range each(k.places, func(p *place) error {
		return k.conflict(ctx, p, content, keys)
	}) {
		if err != nil {
			return backup.Report{}, err
		}
	}

	sealed, err := k.importHome(ctx, data, content, keys)
	if err != nil {
		return backup.Report{}, err
	}
	reports := each(k.places, func(p *place) backup.PlaceReport {
		report, err := perform(ctx, p, func(ctx context.Context) (
			backup.PlaceReport, error) {

			return p.publish(ctx, sealed), nil
		})
		if err != nil {
			return p.failed(err)
		}

		return report
	})

	return backup.Report{Places: reports}, reports[0].Err
}

// conflict returns an error if a place holds a backup that contradicts one. A
// place that does not answer contradicts nothing.
func (k *Keeper) conflict(ctx context.Context, p *place,
	content *backup.Content, keys backup.Keys) error {

	found, err := perform(ctx, p, func(ctx context.Context) (error, error) {
		return p.store.Conflict(ctx, content, keys), nil
	})
	if err != nil {
		log.Warnf("Looking for a contradiction in %s: %v", p.dir, err)
	}

	return found
}

// importHome returns the file that an import publishes: the bytes themselves,
// or a backup of ours with the contents of a file of the older format.
func (k *Keeper) importHome(ctx context.Context, data []byte,
	content *backup.Content, keys backup.Keys) (*parcel, error) {

	if backup.FormatOf(data) == backup.Native {
		return &parcel{content: content, data: data, keys: keys}, nil
	}

	home := k.home()

	return perform(ctx, home, func(ctx context.Context) (*parcel, error) {
		return home.seal(ctx, content, keys)
	})
}
