#!/bin/sh
# Makes the certificates at the first start, and those that expire soon anew at each further one. An authority's key stays
# in its own volume; who proves what he is gets his key, his certificate, and the authority of the others.
#
#   CONTROLLERS, SWITCHES  names; the volume of each is /tls/NAME
set -eu
umask 077
ca=/ca
weir cert init --dir $ca
# shellcheck disable=SC2086
weir cert sign --dir $ca --controller $CONTROLLERS
# shellcheck disable=SC2086
weir cert sign --dir $ca --switch $SWITCHES

give() { # give NAME AUTHORITY-OF-THE-OTHERS
  put "$1.key" "/tls/$1/key.pem"
  put "$1.pem" "/tls/$1/cert.pem"
  put "$2" "/tls/$1/ca.pem"
  chmod 700 "/tls/$1"
  chown weir:weir "/tls/$1"
}

put() { # put FILE TO: at once, for it may be read just now
  install -m 600 -o weir -g weir "$ca/$1" "$2.new"
  mv "$2.new" "$2"
}

for name in $CONTROLLERS; do give "$name" switches-ca.pem; done
for name in $SWITCHES; do give "$name" controllers-ca.pem; done
